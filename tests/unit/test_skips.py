from kit.skips import summary


def test_where_nothing_was_skipped_nothing_is_said():
    assert summary([]) == []


def test_what_was_skipped_is_three_lines_whatever_the_number():
    reasons = [f"Skipped: no server {number % 7}" for number in range(100)]
    lines = summary(reasons)
    assert len(lines) == 3
    assert lines[0].startswith("100 test(s) were skipped, for 7 reason(s)")
    assert lines[1].startswith("15 x no server 0; 15 x no server 1; ")
    assert lines[1].endswith("; and 3 more")
    assert ".ci/install-servers" in lines[2]
