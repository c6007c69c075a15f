"""For pytest: hypothesis fails no test because making its data takes long, which it does under two emulators, and makes the same data each time."""

import hypothesis


def pytest_sessionstart(session):
    checks = list(hypothesis.HealthCheck)
    hypothesis.settings.register_profile("patient", deadline=None, derandomize=True, database=None, suppress_health_check=checks)
    hypothesis.settings.load_profile("patient")
