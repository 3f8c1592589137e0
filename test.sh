#!/usr/bin/env bash
# Everything that has to hold before a change is merged, on a machine that has Go and nothing else:
# what is missing is installed first (Debian, as root or with sudo). It goes on after a failure, so
# that one run tells everything, and ends with what it counted:
#
#     N passed, N failed, N skipped
#
# The seeds of every fuzz target run as tests. FUZZ_TIME=10s also looks for new inputs, so long for
# each target and FUZZ_BUDGET (300) seconds for all: a search ends differently each time, so it is
# no condition for a merge.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

staticcheck=honnef.co/go/tools/cmd/staticcheck@v0.8.2
fuzz_time=${FUZZ_TIME:-}
fuzz_budget=${FUZZ_BUDGET:-300}

export RETURNLEG_REQUIRE=1 # nothing may be skipped

logs=$(mktemp -d "${TMPDIR:-/tmp}/returnleg-test.XXXXXX")
step_group=
failed_steps=()
ran_steps=()

# stop_group ends whatever a step has left running. Every step is a process group of its own.
stop_group() {
	[[ -n $step_group ]] || return 0
	kill -TERM -- "-$step_group" 2>/dev/null || true
	step_group=
}

finish() {
	local code=$?
	stop_group
	if ((code == 0)); then rm -rf "$logs"; else echo "logs: $logs"; fi
}
trap finish EXIT
trap 'exit 130' INT TERM

# step NAME COMMAND... runs a command with its output in a file, and says how it went.
step() {
	local name=$1 log began=$SECONDS code=0
	shift
	log=$logs/$(printf '%02d' "${#ran_steps[@]}")-${name//[^a-zA-Z0-9]/-}.log
	ran_steps+=("$name")
	set -m
	"$@" >"$log" 2>&1 </dev/null &
	step_group=$!
	set +m
	wait "$step_group" || code=$?
	stop_group
	if ((code == 0)); then
		printf 'ok    %4ds  %s\n' $((SECONDS - began)) "$name"
		return
	fi
	printf 'FAIL  %4ds  %s\n' $((SECONDS - began)) "$name"
	failed_steps+=("$name")
	readable "$log" | tail -n 60 | sed 's/^/      | /'
}

# readable turns the output of go test -json into the text of what failed, and leaves other text alone.
readable() {
	awk '
		function field(name,    s) {
			if (!match($0, "\"" name "\":\"")) return ""
			s = substr($0, RSTART + RLENGTH)
			sub(/".*/, "", s)
			return s
		}
		function output(    s) {
			s = substr($0, index($0, "\"Output\":\"") + 10)
			sub(/"(,"OutputType":"[^"]*")?}$/, "", s)
			sub(/\\n$/, "\n", s); gsub(/\\t/, "\t", s); gsub(/\\"/, "\"", s)
			gsub(/\\u003c/, "<", s); gsub(/\\u003e/, ">", s); gsub(/\\u0026/, "\\&", s); gsub(/\\\\/, "\\", s)
			return s
		}
		!/^\{"(Time|Action|ImportPath)":/ { print; next }
		{ action = field("Action"); key = field("Package") " " field("Test") }
		action == "build-output" { printf "%s", output() }
		action == "output" && !/"Output":"=== / { text[key] = text[key] output() }
		action == "fail" { printf "%s", text[key] }
	' "$1"
}

# modules prints the folder of every module.
modules() {
	find . -name node_modules -prune -o -name go.mod -printf '%h\n' | sort
}

# each COMMAND... runs a command in every module, on its own: a user of one has no workspace.
each() {
	local module code=0
	for module in $(modules); do
		echo "# $module: $*"
		(cd "$module" && GOWORK=off "$@") || code=1
	done
	return "$code"
}

# with_sql COMMAND... runs a command in the one module that has a build tag: the example, whose tag sql adds the
# drivers of databases.
with_sql() {
	cd example && GOWORK=off "$@"
}

as_root() {
	if [[ $(id -u) -eq 0 ]]; then "$@"; else sudo "$@"; fi
}

have() {
	local name
	for name; do
		if command -v "$name" >/dev/null; then return; fi
	done
	return 1
}

install_missing() {
	local packages=()
	have gcc cc || packages+=(gcc libc6-dev) # the race detector needs it
	have redis-server || packages+=(redis-server)
	[[ -n ${CHROMIUM:-} ]] || have chromium chromium-browser google-chrome google-chrome-stable || packages+=(chromium)
	compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || have initdb || packages+=(postgresql)
	have node || packages+=(nodejs)
	have npm || packages+=(npm)
	if ((${#packages[@]} > 0)); then
		echo "installing ${packages[*]}"
		as_root apt-get update -q
		as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${packages[@]}"
	fi
	(cd integration/idp && { npm ls >/dev/null 2>&1 || npm ci --no-audit --no-fund; })
	# Debian 12 has Node 18, which is too old for the identity provider.
	if (($(node -p 'process.versions.node.split(".")[0]') < 20)); then
		npm install --no-audit --no-fund --no-save --prefix "$logs/node" node@22
	fi
}

format() {
	local files
	files=$(gofmt -l .)
	[[ -z $files ]] || { echo "gofmt -w:" && echo "$files" && return 1; }
}

# body prints what is inside a function of a file.
body() {
	sed -n "/^func $1() {\$/,/^}\$/p" "$2" | sed '1d;$d'
}

# block prints the n-th block of Go in a page.
block() {
	awk -v n="$1" '/^```go$/ { on = ++seen == n; next } /^```$/ { on = 0 } on' "$2"
}

# prose finds sentences in the pages whose subject is a free clause, as in "Who waits gets 202" and "Whatever fails
# is logged": readers read those twice. Questions, headings and columns of tables may begin so.
prose() {
	local page found code=0
	while IFS= read -r page; do
		# Blocks of code are left out, and code in a line is a word.
		found=$(awk '/^ *```/ { on = !on; next } !on && !/^#/ { gsub(/`[^`]*`/, "CODE"); print FNR ": " $0 }' "$page" |
			grep -E '(^[0-9]+: ([-*>] |[0-9]+\. )?|[.:;|!?)] |\*\*)["(*]*(Who|What|Whom|Whose|Whoever|Whatever|Whichever|Whomever) [^?|]*([.;:|]|$)|[Ww]ho(so|m)?ever' || true)
		[[ -z $found ]] || { echo "$page:" && echo "$found" && code=1; }
	done < <(find README.md SECURITY.md CONTRIBUTING.md CHANGELOG.md docs -name '*.md')
	((code == 0)) || echo "these sentences begin with a clause: name the subject, as in \"a request that waits\""
	return "$code"
}

# records checks that each decision has its three parts, and is in the index.
records() {
	local page heading code=0
	for page in docs/decisions/*.md; do
		awk -v page="$page" '
			function check() { if (heading != "" && parts != "CDQ") { print page ": " heading ": want Context, Decision, Consequence"; bad = 1 } }
			/^## / { check(); heading = $0; parts = "" }
			/^\*\*Context\.\*\* / { parts = parts "C" }
			/^\*\*Decision\.\*\* / { parts = parts "D" }
			/^\*\*Consequence\.\*\* / { parts = parts "Q" }
			END { check(); exit bad }' "$page" || code=1
		while IFS= read -r heading; do
			grep -qF -- "- [$heading](decisions/${page##*/}#" docs/decisions.md || { echo "docs/decisions.md lacks: $heading" && code=1; }
		done < <(sed -n 's/^## //p' "$page")
	done
	return "$code"
}

# house checks what CONTRIBUTING.md says about files.
house() {
	local file lines limit code=0
	while IFS= read -r file; do
		limit=400
		[[ $file == *_test.go ]] && limit=600
		lines=$(wc -l <"$file")
		((lines <= limit)) || { echo "$file has $lines lines, more than $limit" && code=1; }
	done < <(find . -name node_modules -prune -o -name '*.go' -print)
	if find . -name node_modules -prune -o -name '*.go' -print | grep -E '/(utils?|helpers?|types|constants)(_test)?\.go$'; then
		echo "these names say nothing: a file is named after the noun that it holds" && code=1
	fi
	if grep -rnE --include='*.go' --exclude-dir=node_modules '^func init\(\)|\b(TO[D]O|FIX[M]E)\b' .; then
		echo "no init, nothing left to do" && code=1
	fi
	while IFS= read -r file; do
		grep -q '"testing/synctest"' "$file" || { echo "$file sleeps, and time is not synctest's" && code=1; }
	done < <(grep -rl --include='*_test.go' --exclude='*_bench_test.go' --exclude-dir=node_modules 'time\.Sleep(' . || true)
	if ! diff <(body main README.md) <(body Example middleware/example_test.go); then
		echo "the program in README.md is not the Example of package middleware" && code=1
	fi
	if ! diff <(block 1 docs/testing.md) <(body Example_test middleware/example_practice_test.go | sed -n '/^\tidp := /,/^\t})$/ { s/^\t//; p }') ||
		[[ -n $(block 2 docs/testing.md)$(block 2 README.md) ]]; then
		echo "the test in docs/testing.md is not the Example named Test of package middleware, or a page has a program that nothing tests" && code=1
	fi
	return "$code"
}

# workspace builds the example as README.md runs it, which compiles no driver of a database, and with all stores.
workspace() {
	go build -o "$logs/example" ./example
	go build -tags sql -o "$logs/example" ./example
	if go list -deps ./example | grep -E '^(database/sql$|modernc\.org/|github\.com/jackc/)'; then
		echo "go run ./example compiles these, and opens no database: they belong behind the build tag sql" && return 1
	fi
}

# sqlite_libc checks that modernc.org/sqlite gets the modernc.org/libc that it asks for and was made with, no older
# or newer one: in each module that has it, on its own, and in the workspace.
sqlite_libc() {
	local module code=0
	while IFS= read -r module; do
		(cd "${module%/*}" && GOWORK=off libc_is_asked_for "$module") || code=1
	done < <(grep -l 'modernc\.org/sqlite' $(modules | sed 's,$,/go.mod,'))
	libc_is_asked_for go.work || code=1
	return "$code"
}

libc_is_asked_for() {
	local sqlite asked got
	sqlite=$(go list -m -f '{{.GoMod}}' modernc.org/sqlite) || return 1
	asked=$(awk '{ for (i = 1; i < NF; i++) if ($i == "modernc.org/libc") print $(i + 1) }' "$sqlite")
	got=$(go list -m -f '{{.Version}}' modernc.org/libc) || return 1
	echo "$1: SQLite asks for modernc.org/libc $asked, and gets $got"
	[[ -n $asked && $got == "$asked" ]]
}

# foreign vets what an app imports, and its tests, for systems that no test runs on here: with 32 bits, without
# signals, without processes. The other modules are programs for unix.
foreign() {
	local system tags code=0
	for system in windows/amd64 darwin/arm64 linux/386 linux/arm freebsd/amd64 js/wasm; do
		echo "# $system"
		GOWORK=off CGO_ENABLED=0 GOOS=${system%/*} GOARCH=${system#*/} go vet ./... || code=1
		[[ $system != js/wasm ]] || continue
		for tags in "" sql; do
			(cd example && GOWORK=off CGO_ENABLED=0 GOOS=${system%/*} GOARCH=${system#*/} go vet -tags "$tags" ./...) || code=1
		done
	done
	return "$code"
}

# tests MODULE FLAGS... runs the tests of one module; the browser tests are those of integration. A package has an hour:
# go test's ten minutes are too few on a machine that is busy with other work.
tests() {
	cd "$1" && GOWORK=off go test -json -race -shuffle=on -timeout 60m "${@:2}" ./...
}

# fuzz gives each fuzz target a moment, beyond its seeds, which go test has run.
fuzz() {
	local module package target began=$SECONDS code=0
	for module in $(modules); do
		(cd "$module" && GOWORK=off go test -list '^Fuzz' ./...) >"$logs/fuzz.list" || code=1
		while read -r package target; do
			if ((SECONDS - began > fuzz_budget)); then
				echo "the budget of $fuzz_budget s is spent before $package $target"
				continue
			fi
			fuzz_one "$module" "$package" "$target" || code=1
		done < <(awk '/^Fuzz/ { names[++n] = $1 }
			/^ok/ { for (i = 1; i <= n; i++) print $2, names[i]; n = 0 }' "$logs/fuzz.list")
	done
	return "$code"
}

# fuzz_one tries once more if time ran out while a worker was busy, which is no finding.
fuzz_one() {
	local out=$logs/fuzz.out
	for _ in 1 2; do
		if (cd "$1" && GOWORK=off go test -run=NONE -fuzz="^$3\$" -fuzztime="$fuzz_time" -parallel=2 "$2") >"$out" 2>&1; then
			echo "$2 $3: $(grep '^fuzz:' "$out" | tail -n 1)" && return
		fi
		cat "$out"
		grep -q 'context deadline exceeded' "$out" && ! grep -q 'Failing input' "$out" || return 1
	done
	return 1
}

# allocations counts where the race detector is not in the way.
allocations() {
	cd bench && GOWORK=off go test -json -shuffle=on -run 'Allocations$' ./...
}

benchmarks() {
	cd bench && GOWORK=off go test -run=NONE -bench=. -benchtime=1x ./...
}

# count ACTION prints how many tests, rows of tables included, ended that way.
count() {
	cat "$logs"/*-tests-*.log 2>/dev/null | grep -c "^{.*\"Action\":\"$1\".*\"Test\":\"" || true
}

# targets prints how many fuzz targets passed with their seeds.
targets() {
	cat "$logs"/*-tests-*.log 2>/dev/null | grep -c '^{.*"Action":"pass".*"Test":"Fuzz[^/"]*"' || true
}

# broken prints the packages that failed without a failed test: they did not build, or ended early.
broken() {
	cat "$logs"/*-tests-*.log 2>/dev/null | awk -F'"' '
		/"Action":"fail"/ {
			package = ""; test = 0
			for (i = 1; i < NF; i++) { if ($i == "Package") package = $(i + 2); if ($i == "Test") test = 1 }
			if (test) tested[package] = 1; else failed[package] = 1
		}
		END { for (p in failed) if (!(p in tested)) print p }'
}

skipped() {
	cat "$logs"/*-tests-*.log 2>/dev/null | sed -nE 's/^\{.*"Action":"skip","Package":"([^"]*)","Test":"([^"]*)".*/\1 \2/p'
}

echo "$(go version), $(nproc) processors"
step "install what is missing" install_missing
PATH=$logs/node/node_modules/.bin:$PATH
step "gofmt" format
step "house rules" house
step "plain English" prose
step "records of decisions" records
step "go mod tidy" each go mod tidy -diff
step "workspace" workspace
step "libc of SQLite" sqlite_libc
step "go vet" each go vet ./...
step "go vet with SQL" with_sql go vet -tags sql ./...
step "go vet for other systems" foreign
step "staticcheck" each go run "$staticcheck" ./...
step "staticcheck with SQL" with_sql go run "$staticcheck" -tags sql ./...
for module in $(modules); do
	step "tests of $module" tests "$module"
done
step "tests of ./example with SQL" tests ./example -tags sql
[[ -z $fuzz_time ]] || step "fuzzing ($fuzz_time each)" fuzz
step "tests of allocations" allocations
step "benchmarks (once each)" benchmarks

passed=$(count pass)
failed=$(($(count fail) + $(broken | wc -l)))
skipped=$(count skip)
if ((skipped > 0)); then
	echo "skipped:" && skipped | sed 's/^/      /'
	failed_steps+=("nothing may be skipped")
fi
((passed > 0)) || failed_steps+=("no test ran")

join() { local IFS=,; echo "${*}" | sed 's/,/, /g'; }
echo
echo "ran in $((SECONDS / 60)) min $((SECONDS % 60)) s: $(join "${ran_steps[@]}") ($(targets) fuzz targets, by their seeds${fuzz_time:+ and $fuzz_time each})"
((${#failed_steps[@]} == 0)) || echo "FAILED: $(join "${failed_steps[@]}")"
echo "$passed passed, $failed failed, $skipped skipped"
((${#failed_steps[@]} == 0 && failed == 0))
