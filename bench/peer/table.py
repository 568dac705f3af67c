"""Results as one table: a line a server, the lowest and the highest of its rounds."""

COLUMNS = [
    ("requests/s", "requests_per_s", "{:,.0f}"),
    ("p50 ms", "p50_ms", "{:.2f}"),
    ("p99 ms", "p99_ms", "{:.2f}"),
    ("p99.9 ms", "p999_ms", "{:.2f}"),
    ("CPU µs/request", "processor_us_per_request", "{:,.0f}"),
    ("MiB at rest", "memory_at_rest_mib", "{:,.0f}"),
    ("errors", "errors", "{:,}"),
    ("other cores", "other_cores", "{:.1f}"),
]


def render(results):
    """A line for each name, in the order of their first results. Those that failed stand below with their reason."""
    names = list(dict.fromkeys(result["name"] for result in results))
    lines, failed = [["server", *(title for title, _, _ in COLUMNS)]], []
    for name in names:
        rounds = [result for result in results if result["name"] == name and "error" not in result]
        if rounds:
            lines.append([name, *(_range([one[key] for one in rounds], form) for _, key, form in COLUMNS)])
        failed += [f"{name}: {result['error']}" for result in results if result["name"] == name and "error" in result]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    text = [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths))
        )
        for line in lines
    ]
    return "\n".join([*text, *dict.fromkeys(failed)])


def _range(values, form):
    low, high = form.format(min(values)), form.format(max(values))
    return low if low == high else f"{low}–{high}"
