# Reads the peers' JSON lines, prints medians over the rounds. The ratio is to the group's
# first row *of the same round*, then the median: absolute times drift, ratios less.

function value(key,    v) {
	if (!match($0, "\"" key "\":(\"[^\"]*\"|\\[[^]]*\\]|[^,}]*)"))
		return ""
	v = substr($0, RSTART + length(key) + 3, RLENGTH - length(key) - 3)
	gsub(/"/, "", v)
	return v
}

# Median of series[name, 1..count]; sorts a copy, they are few.
function median(series, name, count,    i, j, x, a) {
	for (i = 1; i <= count; i++) {
		x = series[name, i] + 0 # a number: text would sort 100 before 20
		for (j = i - 1; j >= 1 && a[j] > x; j--)
			a[j + 1] = a[j]
		a[j + 1] = x
	}
	low = a[1]; high = a[count]
	return count % 2 ? a[(count + 1) / 2] : (a[count / 2] + a[count / 2 + 1]) / 2
}

{
	split(value("cpus"), cpu, /[][,]/)
	group = value("scenario")
	if (group !~ /^self/)
		group = group (cpu[2] == cpu[3] ? ", one CPU" : ", two CPUs")
	row = group SUBSEP value("peer") " " value("mode")
	if (!(group in first)) {
		first[group] = row
		groups[++ngroups] = group
	}
	if (!(row in count)) {
		rows[++nrows] = row
		of[row] = group
		version[row] = value("version")
	}
	c = ++count[row]
	p50[row, c] = value("p50_ns"); p99[row, c] = value("p99_ns")
	cost[row, c] = value("cpu_ns_per_op")
	ratio[row, c] = p50[row, c] / p50[first[group], c]
}

END {
	for (g = 1; g <= ngroups; g++) {
		printf "\n%-24s %9s %19s %9s %9s %6s  %s\n", groups[g], "p50 ns", \
			"(lowest, highest)", "p99 ns", "CPU ns", "ratio", "version"
		for (r = 1; r <= nrows; r++) {
			row = rows[r]
			if (of[row] != groups[g])
				continue
			split(row, name, SUBSEP)
			m = median(p50, row, count[row])
			printf "%-24s %9.0f %19s %9.0f %9.0f %6.2f  %s\n", name[2], m, \
				sprintf("(%.0f, %.0f)", low, high), median(p99, row, count[row]), \
				median(cost, row, count[row]), median(ratio, row, count[row]), version[row]
		}
	}
}
