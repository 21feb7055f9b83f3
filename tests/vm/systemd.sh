# What a scope of systemd's is for, step by step, in a guest whose first process
# is systemd. A step that fails ends the guest with a code that is not 0; the
# last one ends it from within the shutdown.
set -u

step() { echo "== $*"; }
fail() {
    echo "FAILED: $*"
    systemctl list-units --all --no-pager --no-legend 'skiff*'
    find /sys/fs/cgroup/skiff.slice /sys/fs/cgroup/skiff -type d 2>/dev/null
    exit 1
}
is() { [ "$2" = "$3" ] || fail "$1: '$2' instead of '$3'"; }

# Until a command succeeds: what systemd and the kernel do by themselves.
eventually() {
    for _ in $(seq 600); do
        "$@" && return
        sleep 0.1
    done
    fail "never: $*"
}

property() { systemctl show --property "$2" --value "$1"; }
no_unit() { [ -z "$(systemctl list-units --all --plain --no-legend "$@")" ]; }
group_of() { sed -n 's/^0:://p' "/proc/$1/cgroup"; }
# Process 1 of a service's container, from its record of this boot.
pid_of() {
    id=$("$SKIFF" -p "$1" ps -a -q "$2")
    sed -n 's/.*"pid": *\([0-9]*\).*/\1/p' /run/skiff/projects/"$1"/containers/"$id"*.json
}
# Keeper or supervisor, by the command it was started with.
helper_of() {
    for folder in /proc/[0-9]*; do
        words=$(tr '\0' ' ' <"$folder/cmdline" 2>/dev/null) || continue
        case $words in "skiff __$2 "*"$1 "*) echo "${folder#/proc/}" && return ;; esac
    done
    return 1
}
another_than() { pid=$(helper_of "$1" "$2") && [ "$pid" != "$3" ]; }

step "an image with a shell"
mkdir -p /image/bin /project
cp /bin/busybox /image/bin/
for name in sh sleep cat echo kill true; do ln -s busybox "/image/bin/$name"; done
cd /image && tar -cf /project/layer.tar bin && cd /project || exit 1
layer=$(sha256sum layer.tar | cut -d' ' -f1)
echo '{"architecture":"amd64","os":"linux","config":{"Env":["PATH=/bin"]},
    "rootfs":{"type":"layers","diff_ids":["sha256:'"$layer"'"]}}' >config.json
echo '[{"Config":"config.json","RepoTags":["test/busybox:latest"],"Layers":["layer.tar"]}]' \
    >manifest.json
tar -cf image.tar manifest.json config.json layer.tar
"$SKIFF" load -i image.tar || fail load
cat >compose.yaml <<'END'
services:
  web:
    image: test/busybox
    command: [sh, -c, "trap 'exit 33' USR1; trap 'exit 34' TERM; while :; do sleep 1000 & wait $$!; done"]
    stop_signal: SIGUSR1
    restart: always
    mem_limit: 64m
    pids_limit: 50
    network_mode: none
  other:
    image: test/busybox
    command: [sleep, "1000"]
    init: true
    network_mode: none
END

step "doctor knows systemd"
"$SKIFF" doctor >/project/doctor.log
grep -q 'systemd 2.*, a scope for each project' /project/doctor.log || fail "$(cat /project/doctor.log)"

step "up from a caller's scope"
mkfifo /project/done
systemd-run --quiet --scope --unit=caller \
    sh -c '"$SKIFF" -p shop up -d >/project/up.log 2>&1; echo $? >/project/done; exec sleep 1000' &
code=$(cat /project/done)
cat /project/up.log
is "the code of up" "$code" 0
grep -i warning /project/up.log && fail "a warning"
root=$(cat /var/lib/skiff/id)
scope=skiff-$root-shop.scope
place=/skiff.slice/$scope
is state "$(property "$scope" ActiveState)" active
is delegated "$(property "$scope" Delegate)" yes
is slice "$(property "$scope" Slice)" skiff.slice
is tasks "$(property "$scope" TasksMax)" infinity
is description "$(property "$scope" Description)" "skiff project shop"
is "its group" "$(property "$scope" ControlGroup)" "$place"

step "everything is in it"
web=$(pid_of shop web)
other=$(pid_of shop other)
id=$(basename /var/lib/skiff/projects/shop/containers/"$("$SKIFF" -p shop ps -q web)"*)
is "web's group" "$(group_of "$web")" "$place/$id"
case $(group_of "$other") in "$place"/*) ;; *) fail "other is in $(group_of "$other")" ;; esac
keeper=$(helper_of shop keeper) || fail "no keeper"
supervisor=$(helper_of shop supervisor) || fail "no supervisor"
is "the keeper's group" "$(group_of "$keeper")" "$place/keeper"
is "the supervisor's group" "$(group_of "$supervisor")" "$place/keeper"
[ -d /sys/fs/cgroup/skiff ] && fail "a group in the file system"

limits() {
    folder=/sys/fs/cgroup$(group_of "$web")
    is memory "$(cat "$folder/memory.max")" 67108864
    is processes "$(cat "$folder/pids.max")" 50
}
alive() {
    is "web's process" "$(pid_of shop web)" "$web"
    is "other's process" "$(pid_of shop other)" "$other"
    is "exec" "$("$SKIFF" -p shop exec -T web echo here)" here
    is state "$(property "$scope" ActiveState)" active
    limits
}
step "limits are in force"
alive
"$SKIFF" -p shop exec -T web sh -c 'i=0; while [ $i -lt 60 ]; do sleep 5 & i=$((i+1)); done' \
    2>/dev/null && fail "60 processes where 50 are allowed"

step "the caller's scope is killed"
systemctl kill --signal=KILL caller.scope
eventually no_unit caller.scope
alive

step "the supervisor is killed"
kill -9 "$supervisor"
alive
eventually another_than shop supervisor "$supervisor"
supervisor=$(helper_of shop supervisor)
is "the supervisor's group" "$(group_of "$supervisor")" "$place/keeper"

step "the keeper is killed"
kill -9 "$keeper"
alive
eventually another_than shop keeper "$keeper"
keeper=$(helper_of shop keeper)
is "the keeper's group" "$(group_of "$keeper")" "$place/keeper"

step "systemd reads its units anew, and executes itself anew"
systemctl daemon-reload
alive
systemctl daemon-reexec
alive
is delegated "$(property "$scope" Delegate)" yes
is "its processes" "$(group_of "$web" | cut -d/ -f1-3)" "$place"

step "both are killed, and the next command starts them"
kill -9 "$keeper" "$supervisor"
"$SKIFF" -p shop up -d 2>/project/up.log || fail "$(cat /project/up.log)"
alive
is "the keeper's group" "$(group_of "$(helper_of shop keeper)")" "$place/keeper"
is "the supervisor's group" "$(group_of "$(helper_of shop supervisor)")" "$place/keeper"

step "containers that are started later"
"$SKIFF" -p shop restart -t 5 2>/project/up.log || fail "$(cat /project/up.log)"
web=$(pid_of shop web)
other=$(pid_of shop other)
case $(group_of "$other") in "$place"/*) ;; *) fail "other is in $(group_of "$other")" ;; esac
alive

step "a second project shares the slice"
"$SKIFF" -p second up -d other 2>/project/up.log || fail "$(cat /project/up.log)"
is state "$(property "skiff-$root-second.scope" ActiveState)" active
# What a container of the first left behind is swept when the second ends.
stray=/sys/fs/cgroup$place/$(printf %064d 7)
mkdir "$stray"
sleep 1000 &
echo $! >"$stray/cgroup.procs"
"$SKIFF" -p second down -t 1 2>/project/up.log || fail "$(cat /project/up.log)"
eventually no_unit "skiff-$root-second.scope"
[ -e "$stray" ] && fail "a stray group is left"
is slice "$(property skiff.slice ActiveState)" active
alive

step "stopped by systemd, each container gets its own signal"
systemctl stop "$scope"
eventually no_unit 'skiff*'
"$SKIFF" -p shop ps -a --format json >/project/ps.json
grep -q '"ExitCode":33' /project/ps.json || fail "$(cat /project/ps.json)"
helper_of shop keeper && fail "a keeper"

step "up again, and down leaves nothing"
"$SKIFF" -p shop up -d 2>/project/up.log || fail "$(cat /project/up.log)"
web=$(pid_of shop web)
other=$(pid_of shop other)
alive
"$SKIFF" -p shop down -t 5 2>/project/up.log || fail "$(cat /project/up.log)"
eventually no_unit 'skiff*'
for folder in skiff.slice skiff; do
    [ -e "/sys/fs/cgroup/$folder" ] && fail "/sys/fs/cgroup/$folder is left"
done

step "an administrator's slice is used, and stays"
mkdir -p /run/systemd/system
printf '[Slice]\nMemoryMax=1G\n' >/run/systemd/system/skiff.slice
systemctl daemon-reload
systemctl start skiff.slice
"$SKIFF" -p shop up -d other 2>/project/up.log || fail "$(cat /project/up.log)"
is state "$(property "$scope" ActiveState)" active
is memory "$(cat /sys/fs/cgroup/skiff.slice/memory.max)" 1073741824
"$SKIFF" -p shop down -t 1 2>/project/up.log || fail "$(cat /project/up.log)"
eventually no_unit "$scope"
is slice "$(property skiff.slice ActiveState)" active
systemctl stop skiff.slice
rm /run/systemd/system/skiff.slice
systemctl daemon-reload

step "a systemd that cannot be reached costs a warning, nothing else"
cat >/project/deaf.sh <<'END'
set -u
fail() { echo "FAILED: $*"; exit 1; }
# A connection to it is refused.
mount --bind /project/nobody /run/systemd/private
"$SKIFF" -p deaf up -d other 2>/project/up.log || fail "$(cat /project/up.log)"
[ "$(grep -c 'gave project `deaf` no scope' /project/up.log)" = 1 ] || fail "$(cat /project/up.log)"
"$SKIFF" -p deaf up -d other 2>/project/up.log || fail "$(cat /project/up.log)"
grep 'no scope' /project/up.log && fail "told twice"
"$SKIFF" doctor >/project/doctor.log
grep -q 'systemd scopes: cannot connect' /project/doctor.log || fail "$(cat /project/doctor.log)"
grep -q 'gave project `deaf` no scope' /project/doctor.log || fail "$(cat /project/doctor.log)"
root=$(cat /var/lib/skiff/id)
[ -d "/sys/fs/cgroup/skiff/$root/deaf/keeper" ] || fail "no group in the file system"
"$SKIFF" -p deaf down -t 1 2>/project/up.log || fail "$(cat /project/up.log)"
END
: >/project/nobody
unshare -m --propagation private sh /project/deaf.sh || fail "deaf"
gone() { ! [ -e /sys/fs/cgroup/skiff ]; }
eventually gone

step "in another pid namespace systemd is not asked"
cat >/project/inner.sh <<'END'
set -u
fail() { echo "FAILED: $*"; exit 1; }
"$SKIFF" -p inner up -d other 2>/project/up.log || fail "$(cat /project/up.log)"
grep -i warning /project/up.log && fail "a warning"
[ -d "/sys/fs/cgroup/skiff/$(cat /var/lib/skiff/id)/inner/keeper" ] || fail "no group"
"$SKIFF" -p inner down -t 1 2>/project/up.log || fail "$(cat /project/up.log)"
# The namespace ends with this shell, and everything in it.
for _ in $(seq 600); do
    [ -e /sys/fs/cgroup/skiff ] || exit 0
    sleep 0.1
done
fail "a group is left"
END
unshare -m --propagation private -pf --mount-proc sh /project/inner.sh || fail "inner"
eventually gone

step "the shutdown of the machine stops containers properly"
cat >last.yaml <<'END'
services:
  last:
    image: test/busybox
    command: [sh, -c, "trap 'echo >/dev/ttyS0; echo guest-exit-code=0 >/dev/ttyS0; exit' USR1; while :; do sleep 1000 & wait $$!; done"]
    stop_signal: SIGUSR1
    restart: always
    network_mode: none
    devices: [/dev/ttyS0]
END
"$SKIFF" -f last.yaml -p last up -d 2>/project/up.log || fail "$(cat /project/up.log)"
systemctl poweroff
exec sleep 1000
