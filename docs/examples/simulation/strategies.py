from chat import evening

from actors.sim import explore

for strategy in ("portfolio", "random", "sticky", "pct", "uniform", "plain"):
    report = explore(lambda _sim: evening(), runs=200, strategy=strategy)
    found = report.failure.found if report.failure else "nothing in 200 schedules"
    print(f"{strategy:9}  {found}")
