//! The end-to-end tests under Debian's stock kernel, in qemu.
//!
//! There, control groups are version 2 only and everything the engine needs of
//! the kernel is a module, loaded on demand. The guest has no more than this
//! crate's binaries, busybox and the few programs the tests call; software
//! emulation is enough, so it runs on any machine.

#[cfg(test)]
mod archive;
#[cfg(test)]
mod guest;
#[cfg(test)]
mod kernel;
#[cfg(test)]
mod machine;
#[cfg(test)]
mod packages;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::guest::Guest;
    use crate::kernel::Kernel;

    /// What depends on the kernel and its control groups most.
    const ENGINE: &[&str] = &[
        "quickstart::the_page_shows_the_backends_answer",
        "lifecycle::up_starts_everything_and_down_leaves_nothing",
        "inside::a_container_is_confined_from_the_first_day",
        "inside::devices_are_refused_unless_given",
        "inside::dockers_devices_can_be_opened_and_no_other",
        "inside::limits_are_in_force",
        "networks::networks_are_apart_and_internal_ones_have_no_way_out",
        "ports::published_ports_answer_from_everywhere_they_should",
        "crash::an_exit_during_the_supervisors_death_is_not_lost",
        "shell::killing_the_callers_cgroup_ends_nothing",
        "watch::files::folders_deletions_renames_and_links",
        "watch::files::volumes_single_files_and_containers_that_do_not_run",
        "watch::files::editors_save_in_their_own_ways_and_no_reader_sees_half",
    ];

    #[test]
    fn the_engine_works_on_a_stock_kernel_with_cgroup_v2_only() {
        let kernel = Kernel::fetch();
        let mut guest = Guest::new();
        guest.modules(&kernel);
        let output = guest.run_tests(&kernel, ENGINE, Duration::from_secs(300));
        let passed = format!("test result: ok. {} passed", ENGINE.len());
        assert!(output.contains(&passed), "{output}");
    }

    #[test]
    fn the_shop_works_on_a_stock_kernel() {
        let kernel = Kernel::fetch();
        let mut guest = Guest::new();
        guest.modules(&kernel);
        guest.shop_images();
        let shop = ["shop::the_shop_serves_and_its_data_survives_down"];
        let output = guest.run_tests(&kernel, &shop, Duration::from_secs(600));
        assert!(output.contains("test result: ok. 1 passed"), "{output}");
    }

    /// What a scope is for, step by step: see the script.
    #[test]
    fn a_project_is_in_a_scope_of_systemds() {
        let kernel = Kernel::fetch();
        let mut guest = Guest::with_systemd();
        guest.modules(&kernel);
        let script = include_str!("systemd.sh");
        guest.run_script(&kernel, script, Duration::from_secs(300));
    }

    /// One module of a network's is missing, the others are there.
    #[test]
    fn a_missing_bridge_or_veth_is_named() {
        let kernel = Kernel::fetch();
        let mut guest = Guest::new();
        guest.modules(&kernel);
        let script = r#"cd $EXAMPLES/quickstart
            for module in bridge veth; do
                file=$(find /lib/modules -name "$module.ko*")
                mv $file /away
                if grep -q "^$module " /proc/modules; then rmmod $module; fi
                $SKIFF doctor | grep -A1 '^missing' | sed "s/^/without $module: /"
                $SKIFF up -d 2>&1 | sed "s/^/up without $module: /"
                $SKIFF down -v 2>&1 | cat
                mv /away $file
            done
            $SKIFF up -d --wait 2>&1 | cat
            $SKIFF ps | cat
            $SKIFF down -v 2>&1 | cat"#;
        let output = guest.run_script(&kernel, script, Duration::from_secs(120));
        for module in ["bridge", "veth"] {
            let says = |begin: &str, word: &str| {
                let line = output
                    .lines()
                    .find(|line| line.starts_with(begin) && line.contains(word));
                assert!(line.is_some(), "{begin}{word}\n{output}");
            };
            says(&format!("without {module}: missing "), module);
            says(
                &format!("without {module}: "),
                &format!("modprobe {module}"),
            );
            says(&format!("up without {module}: "), module);
        }
        assert!(output.contains("(healthy)"), "{output}");
    }

    /// There are fewer watches than folders: that is told, and files come all the same.
    #[test]
    fn the_limit_of_watches_is_told_and_got_around() {
        let kernel = Kernel::fetch();
        let mut guest = Guest::new();
        guest.modules(&kernel);
        let script = r#"mkdir /limit && cd /limit
            i=0; while [ $i -lt 60 ]; do mkdir -p src/$i; i=$((i+1)); done
            cat >compose.yaml <<END
services:
  web:
    image: skiff/toolbox
    command: [sleep, "1000"]
    init: true
    develop: {watch: [{path: ./src, action: sync, target: /app}]}
END
            echo 40 >/proc/sys/fs/inotify/max_user_watches
            mkfifo said
            timeout 100 $SKIFF watch >said 2>&1 &
            while read -r line; do
                echo "$line"
                case $line in
                *watching\ *) echo new >src/7/new ;;
                *src/7/new\ to\ /app/7/new*) kill $! ;;
                esac
            done <said
            $SKIFF down -t 1 2>&1 | cat"#;
        let output = guest.run_script(&kernel, script, Duration::from_secs(180));
        for text in [
            "this machine's limit of watched folders (40) is reached",
            "sudo sysctl fs.inotify.max_user_watches=524288",
            "web: src/7/new to /app/7/new",
        ] {
            assert!(output.contains(text), "{text}\n{output}");
        }
    }

    /// The same kernel without its modules: `doctor` names each that is missing,
    /// and `up` fails with a reason before anything is made.
    #[test]
    fn a_kernel_without_modules_is_explained() {
        let kernel = Kernel::fetch();
        let guest = Guest::new();
        let script = "cd $EXAMPLES/quickstart
            export NO_COLOR=1
            $SKIFF doctor; echo doctor-code=$?
            $SKIFF up -d; echo up-code=$?
            $SKIFF ps -a -q; echo ps-code=$?";
        let output = guest.run_script(&kernel, script, Duration::from_secs(120));
        for module in ["overlay", "nf_tables", "bridge", "veth"] {
            let is_it = |line: &str| line.starts_with("missing ") && line.contains(module);
            assert!(output.lines().any(is_it), "{module}\n{output}");
            let remedy = match module {
                "nf_tables" => "modprobe -a nf_tables".to_owned(),
                one => format!("modprobe {one}"),
            };
            let is_it = |line: &str| line.contains("remedy: ") && line.contains(&remedy);
            assert!(output.lines().any(is_it), "{remedy}\n{output}");
        }
        for code in ["doctor-code=1", "up-code=1", "ps-code=0"] {
            assert!(output.contains(code), "{code}\n{output}");
        }
    }
}
