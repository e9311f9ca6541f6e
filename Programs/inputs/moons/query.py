"""Asks a CSV in SQL: `query.py FILE.csv 'SELECT …'`; the table is named after the file."""

import csv
import pathlib
import sqlite3
import sys

path, question = pathlib.Path(sys.argv[1]), sys.argv[2]
with path.open(newline="") as file:
    names, *rows = csv.reader(file)
base = sqlite3.connect(":memory:")
# Without types, a column of numbers compares as numbers only if its values are.
base.execute(f"CREATE TABLE {path.stem} ({', '.join(f'{name} NUMERIC' for name in names)})")
base.executemany(f"INSERT INTO {path.stem} VALUES ({', '.join('?' * len(names))})", rows)
answer = base.execute(question)
writer = csv.writer(sys.stdout)
writer.writerow(column[0] for column in answer.description)
writer.writerows(answer)
