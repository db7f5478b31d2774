"""What a web process counts: numbers whose names no client makes up."""

from app.metrics import Metrics


def test_methods_that_nobody_knows_are_counted_together():
    metrics = Metrics()
    for number in range(100):
        metrics.count_request(f"MADE{number}", 405)
    metrics.count_request("GET", 200)
    metrics.count_request("get", 405)
    lines = [line for line in metrics.text().decode().splitlines() if "requests_total{" in line]
    assert sorted(lines) == [
        'slipway_requests_total{method="GET",status="200"} 1.0',
        'slipway_requests_total{method="OTHER",status="405"} 101.0',
    ]
    assert len(metrics._requests_by) == 2
