"""Reads a CSV of moons and writes a report (Markdown), a picture (SVG) and a summary (JSON) into out/."""

import csv
import json
import math
import os
import sys

with open(sys.argv[1], newline="") as file:
    moons = list(csv.DictReader(file))
for moon in moons:
    moon["radius_km"] = float(moon["radius_km"])
    moon["orbit_km"] = int(moon["orbit_km"])
    moon["period_days"] = float(moon["period_days"])

planets = {}
for moon in moons:
    planets.setdefault(moon["planet"], []).append(moon)


def mass_of_planet(moon):
    """Kepler's third law: what a planet weighs, in earths, if a moon circles it so far away in so many days."""
    metres, seconds = moon["orbit_km"] * 1e3, moon["period_days"] * 86400
    return 4 * math.pi**2 * metres**3 / (6.674e-11 * seconds**2) / 5.972e24


os.makedirs("out", exist_ok=True)
summary = {}
with open("out/report.md", "w") as report:
    report.write("| planet | moons | largest | km | weighs, in earths |\n| --- | --- | --- | --- | --- |\n")
    for planet, its in planets.items():
        largest = max(its, key=lambda moon: moon["radius_km"])
        masses = sorted(mass_of_planet(moon) for moon in its)
        median = masses[len(masses) // 2]
        summary[planet] = {"moons": len(its), "largest": largest["moon"], "earths": round(median, 3)}
        report.write(f"| {planet} | {len(its)} | {largest['moon']} | {largest['radius_km']:.0f} | {median:.2f} |\n")

with open("out/summary.json", "w") as file:
    json.dump(summary, file, indent=2, sort_keys=True)
    file.write("\n")

colours = ["#4e79a7", "#e15759", "#f28e2b", "#edc948", "#76b7b2", "#59a14f"]
with open("out/moons.svg", "w") as svg:
    svg.write('<svg xmlns="http://www.w3.org/2000/svg" width="640" height="400" viewBox="0 0 640 400">\n')
    svg.write('<rect width="640" height="400" fill="#0b1026"/>\n')
    for moon in moons:
        x = 40 + 560 * (math.log10(moon["orbit_km"]) - 3.8) / 3
        y = 360 - 320 * (math.log10(moon["period_days"]) + 0.6) / 2.7
        radius = 2 + math.sqrt(moon["radius_km"]) / 3
        colour = colours[list(planets).index(moon["planet"])]
        svg.write(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" fill="{colour}" fill-opacity="0.8"/>\n')
    svg.write("</svg>\n")

print(f"{len(moons)} moons of {len(planets)} planets")
