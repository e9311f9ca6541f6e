"""The dashboard of a node that has had thousands of jobs (a part of scripts/dashboard-check.py)."""

import json
import time


def crowd(check, root, count):
    """Has a node run a job for each of many files, and looks at what its pages make of so many."""
    browser, expect = check.browser, check.failures.expect
    folder = check.work / "crowd"
    folder.mkdir()
    for number in range(count):
        (folder / f"{number:05}").write_text(f"{number}\n")
    begun = time.monotonic()
    check.net.mesh("map", str(root / "Examples" / "build" / "Sum.wasm"), "--each", str(folder / "*"), "--quiet")
    print(f"      {count} jobs took {time.monotonic() - begun:.0f} s", flush=True)
    plan = browser.run("fetch('/v1/workflows?limit=1').then((a) => a.json()).then((l) => l[0])")
    rows = "document.querySelectorAll('main tbody tr').length"
    feet = "[...document.querySelectorAll('main .foot')]"
    foot = "document.querySelector('main .foot')?.textContent"

    check.go(f"#/workflow/{plan['workflow_id']}")
    check.shows(f"{count:,} of {count:,}")
    expect(browser.run(rows) <= 130, f"workflow of {count} items: one page of them at a time")
    first = browser.run("document.querySelector('main tbody tr').textContent")
    check.click("Next")
    check.holds(f"{foot}?.includes('Page 2')", "workflow: the next items")
    second = browser.run("document.querySelector('main tbody tr').textContent")
    expect(second != first, f"which are others: {first[:60]}, {second[:60]}")
    check.fill("State", "failed")
    check.says("No item is so", "workflow: items by their state")

    # As many as the page shows, whatever is filtered out before.
    check.go("#/jobs")
    seen, pages = set(), 0
    while pages < 40:
        seen.update(browser.run("[...document.querySelectorAll('main tbody tr a')].map((a) => a.href)"))
        pages += 1
        if not browser.run("[...document.querySelectorAll('main button')].some((b) => b.textContent === 'Older' && !b.disabled)"):
            break
        check.click("Older")
        browser.wait(f"{foot}?.includes('Page {pages + 1},')", "the next page")
    expect(len(seen) >= min(count, 40 * 50), f"jobs: {len(seen)} of them on {pages} pages, none twice")

    asked = "Math.ceil(Date.now() / 120000) * 120000"
    counted = browser.run(
        f"fetch(`/v1/activity?until=${{{asked}}}&step=120000&parts=30`).then((a) => a.json())"
        ".then((a) => [a.whole, a.parts.reduce((s, p) => s + p.succeeded, 0)])"
    )
    expect(counted[0] and counted[1] >= count, f"overview: {counted[1]} jobs of the last hour are counted")
    check.go("#/")
    label = browser.run("document.querySelector('svg.chart').getAttribute('aria-label')")
    expect("succeeded" in label, f"overview: {label}")

    check.go("#/money")
    last = min(30, 2 * count // 100)
    for page in range(2, last + 1):
        check.click("Older")
        browser.wait(f"{feet}.some((f) => f.textContent.includes('Page {page},'))", "older movements")
    expect(browser.run(rows) >= 100, f"money: {last} pages back there are movements still")

    times = browser.run(
        """(async () => { const spent = {};
        for (const path of ["/v1/status", "/v1/jobs?limit=50", "/v1/jobs?status=failed&limit=50", "/v1/wallet?entries=100",
            "/v1/activity?step=86400000&parts=14", "/v1/workflows?limit=50", "/v1/workflows/PLAN/items?limit=100"]) {
          const begun = performance.now();
          await (await fetch(path)).text();
          spent[path.replace("PLAN", "…")] = Math.round(performance.now() - begun);
        }
        return spent; })()""".replace("PLAN", plan["workflow_id"])
    )
    print("      milliseconds: " + json.dumps(times), flush=True)
    # A figure on a quiet machine is a fraction of this; what fails is only what no load explains.
    expect(max(times.values()) < 3_000, "no answer takes seconds")
