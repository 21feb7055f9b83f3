//! Plans as text.

use super::*;
use crate::build::ignore::Ignore;
use crate::dockerfile::parse;

/// A base with everything that has a say in what is built upon it.
const BASE: &str = r#"{"architecture": "amd64", "os": "linux", "config": {
    "Env": ["PATH=/bin", "FROM_BASE=1"], "User": "app", "WorkingDir": "/srv",
    "Shell": ["/bin/bash", "-c"], "Cmd": ["base"], "OnBuild": ["COPY --from=extra /x /y", "ENV T=$FROM_BASE"]},
    "rootfs": {"type": "layers", "diff_ids":
        ["sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]},
    "history": [{"created_by": "base"}]}"#;

const PLAIN: &str = r#"{"architecture": "amd64", "os": "linux", "config": {},
    "rootfs": {"type": "layers", "diff_ids":
        ["sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]}}"#;

fn options() -> Options {
    Options {
        build_platform: Some(Platform::parse("linux/amd64").unwrap()),
        ..Options::default()
    }
}

fn base(config: &str) -> BaseImage {
    BaseImage {
        config: ConfigFile::parse(config.as_bytes()).unwrap(),
        digest: None,
    }
}

/// Plans with the base image `full`, and with `PLAIN` for all others.
fn planned_with(text: &str, options: &Options) -> Result<Plan, Vec<Problem>> {
    let file = parse(text.as_bytes()).unwrap();
    let mut bases = Bases::new();
    loop {
        match plan(&file, options, &bases)? {
            Outcome::Ready(plan) => return Ok(*plan),
            Outcome::Needs(needs) => {
                for (request, _) in needs {
                    let is_full = matches!(&request,
                        BaseRequest::Image { reference, .. } if reference.contains("full"));
                    let config = if is_full { BASE } else { PLAIN };
                    assert!(bases.insert(request, base(config)).is_none());
                }
            }
        }
    }
}

fn planned(text: &str) -> Plan {
    planned_with(text, &options()).unwrap()
}

fn message(text: &str, options: &Options) -> String {
    let problems = planned_with(text, options).unwrap_err();
    problems[0].message.clone()
}

/// Number, inputs and name of each step.
fn outline(plan: &Plan) -> Vec<String> {
    let steps = plan.steps.iter().enumerate().map(|(index, step)| {
        let inputs: Vec<String> = step.inputs().iter().map(|id| id.0.to_string()).collect();
        format!("{index} <{}> {}", inputs.join(","), step.name)
    });
    steps.collect()
}

fn run_of(step: &Step) -> &Run {
    match &step.kind {
        Kind::Run(run) => run,
        other => panic!("no RUN: {other:?}"),
    }
}

fn copy_of(step: &Step) -> &Copy {
    match &step.kind {
        Kind::Copy(copy) => copy,
        other => panic!("no COPY: {other:?}"),
    }
}

#[test]
fn only_what_the_target_needs_is_planned_and_stages_are_independent() {
    let text = "FROM a AS one\nRUN 1\nFROM b AS two\nRUN 2\nFROM c AS unused\nRUN 3\n\
        FROM scratch\nCOPY --from=one /1 /\nCOPY --from=two /2 /\nCOPY . /3\n";
    let plan = planned(text);
    let expected = [
        "0 <> [one 1/2] FROM docker.io/library/a:latest",
        "1 <0> [one 2/2] RUN 1",
        "2 <> [two 1/2] FROM docker.io/library/b:latest",
        "3 <2> [two 2/2] RUN 2",
        "4 <1> [stage-3 1/3] COPY --from=one /1 /",
        "5 <3,4> [stage-3 2/3] COPY --from=two /2 /",
        "6 <> [internal] load build context",
        "7 <5,6> [stage-3 3/3] COPY . /3",
    ];
    assert_eq!(outline(&plan), expected);
    assert_eq!(plan.result, Some(StepId(7)));
    let source = crate::dockerfile::Source::new(text.to_owned());
    assert_eq!(source.part(plan.steps[7].at), "COPY . /3");
}

#[test]
fn what_a_base_says_counts_and_its_triggers_need_more_stages() {
    let text = "FROM extra AS extra\nFROM full\nRUN echo $T\nWORKDIR sub\nCMD x\n";
    let plan = planned(text);
    let expected = [
        "0 <> [extra 1/1] FROM docker.io/library/extra:latest",
        "1 <> [stage-1 1/5] FROM docker.io/library/full:latest",
        "2 <0,1> [stage-1 2/5] ONBUILD COPY --from=extra /x /y",
        "3 <2> [stage-1 3/5] RUN echo 1",
        "4 <3> [stage-1 4/5] WORKDIR sub",
    ];
    assert_eq!(outline(&plan), expected);
    let run = run_of(&plan.steps[3]);
    assert_eq!(run.arguments, ["/bin/bash", "-c", "echo $T"]);
    assert_eq!((run.user.as_str(), run.folder.as_str()), ("app", "/srv"));
    assert!(run.environment.contains(&("T".to_owned(), "1".to_owned())));
    assert!(
        run.environment
            .contains(&("FROM_BASE".to_owned(), "1".to_owned()))
    );
    let Kind::Folder(folder) = &plan.steps[4].kind else {
        panic!("no folder");
    };
    assert_eq!(
        (folder.path.as_str(), folder.owner.as_str()),
        ("/srv/sub", "app")
    );
    let config = &plan.config;
    assert!(config.config.on_build.is_empty());
    assert_eq!(config.config.cmd, ["/bin/bash", "-c", "x"]);
    assert_eq!(config.history[0].created_by.as_deref(), Some("base"));
    let layers = config
        .history
        .iter()
        .filter(|entry| !entry.empty_layer)
        .count();
    assert_eq!(
        layers,
        1 + 3,
        "one of the base, and one for each step upon it"
    );
}

#[test]
fn bases_are_asked_for_before_anything_else() {
    let file = parse(b"FROM --platform=linux/arm64 a\nFROM b AS x\nFROM x").unwrap();
    let outcome = plan(&file, &options(), &Bases::new()).unwrap();
    let request = BaseRequest::Image {
        reference: "docker.io/library/b:latest".to_owned(),
        platform: "linux/amd64".to_owned(),
    };
    let at = Span { start: 30, end: 41 };
    assert_eq!(outcome, Outcome::Needs(vec![(request, at)]));
}

#[test]
fn a_base_without_files_is_an_empty_root_and_a_digest_pins_it() {
    let file = parse(b"FROM a\nRUN x").unwrap();
    let request = BaseRequest::Image {
        reference: "docker.io/library/a:latest".to_owned(),
        platform: "linux/amd64".to_owned(),
    };
    let with = |base: BaseImage| {
        let bases = Bases::from([(request.clone(), base)]);
        match plan(&file, &options(), &bases).unwrap() {
            Outcome::Ready(plan) => *plan,
            Outcome::Needs(needs) => panic!("{needs:?}"),
        }
    };
    let plan = with(base("{}"));
    assert_eq!((plan.steps.len(), run_of(&plan.steps[0]).root), (1, None));
    let digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let plan = with(BaseImage {
        digest: Some(digest.to_owned()),
        ..base(PLAIN)
    });
    let reference = format!("docker.io/library/a:latest@{digest}");
    assert_eq!(
        plan.steps[0].kind,
        Kind::Source(Source::Image { reference })
    );
}

#[test]
fn mounts_say_all_that_they_are() {
    let text = "FROM a AS tool\nFROM b\nWORKDIR /w\n\
        RUN --mount=from=tool,source=/t/../bin,target=bin --mount=source=src,target=/s,rw \
        --mount=type=cache,target=/c/,sharing=locked,uid=5 --mount=type=tmpfs,target=/t,size=1k \
        --mount=type=secret,id=a/b,required --mount=type=secret,id=c,env=C --mount=type=ssh x\n";
    let plan = planned(text);
    let run = run_of(plan.steps.last().unwrap());
    let access = |uid, mode| Access { uid, gid: 0, mode };
    let kinds: Vec<(Option<&str>, &MountKind)> = run
        .mounts
        .iter()
        .map(|mount| (mount.target.as_deref(), &mount.kind))
        .collect();
    let [bind, context, cache, tmpfs, secret, variable, ssh] = kinds.as_slice() else {
        panic!("{kinds:?}");
    };
    let MountKind::Bind {
        from: Some(tool),
        source,
        is_read_only: true,
    } = bind.1
    else {
        panic!("{bind:?}");
    };
    assert_eq!((bind.0, source.as_str()), (Some("/w/bin"), "/bin"));
    assert_eq!(
        plan.steps[tool.0].name,
        "[tool 1/1] FROM docker.io/library/a:latest"
    );
    let MountKind::Bind {
        from: Some(id),
        is_read_only: false,
        ..
    } = context.1
    else {
        panic!("{context:?}");
    };
    let Kind::Source(Source::Context { name: None, paths }) = &plan.steps[id.0].kind else {
        panic!("no context");
    };
    assert_eq!(paths, &["src"]);
    let expected = MountKind::Cache {
        id: "/c".to_owned(),
        sharing: Sharing::Locked,
        from: None,
        source: "/".to_owned(),
        access: access(5, 0o755),
        is_read_only: false,
    };
    assert_eq!(*cache, (Some("/c"), &expected));
    let expected = MountKind::Tmpfs {
        size: Some(1024),
        is_read_only: false,
    };
    assert_eq!(*tmpfs, (Some("/t"), &expected));
    let expected = MountKind::Secret {
        id: "a/b".to_owned(),
        variable: None,
        is_required: true,
        access: access(0, 0o400),
    };
    assert_eq!(*secret, (Some("/run/secrets/b"), &expected));
    assert_eq!(variable.0, None);
    let expected = MountKind::Ssh {
        id: "default".to_owned(),
        is_required: false,
        access: access(0, 0o600),
    };
    assert_eq!(*ssh, (Some("/run/buildkit/ssh_agent.0"), &expected));
    let agent = (
        "SSH_AUTH_SOCK".to_owned(),
        "/run/buildkit/ssh_agent.0".to_owned(),
    );
    assert!(run.environment.contains(&agent));
}

#[test]
fn sources_of_copies_and_additions() {
    let text = "FROM scratch\nWORKDIR /w\n\
        COPY --parents --exclude=*.o a/./b/*.c ./x y/\n\
        ADD --chmod=0640 --chown=1 https://h/f.tgz git@h:r.git#v1:sub local.tar ./\n\
        COPY . /all\n";
    let plan = planned(text);
    let copies: Vec<&Copy> = plan
        .steps
        .iter()
        .filter(|step| matches!(step.kind, Kind::Copy(_)))
        .map(copy_of)
        .collect();
    assert_eq!(copies[0].destination, "/w/y/");
    assert_eq!(copies[0].excludes, ["*.o"]);
    let files = |source: &CopySource| match source {
        CopySource::Files {
            path,
            parents,
            unpacks,
            ..
        } => (path.clone(), parents.clone(), *unpacks),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        files(&copies[0].sources[0]),
        ("/a".into(), Some("b/*.c".into()), false)
    );
    assert_eq!(
        files(&copies[0].sources[1]),
        ("/".into(), Some("x".into()), false)
    );
    assert_eq!(copies[1].destination, "/w/");
    assert_eq!(copies[1].mode, Some(Mode::Bits(0o640)));
    assert_eq!(copies[1].owner.as_deref(), Some("1"));
    let [
        CopySource::Download {
            from: web,
            file,
            unpacks: false,
        },
        CopySource::Tree { from: git },
        local,
    ] = copies[1].sources.as_slice()
    else {
        panic!("{:?}", copies[1].sources);
    };
    assert_eq!(file, "f.tgz");
    assert_eq!(files(local), ("/local.tar".into(), None, true));
    assert!(
        matches!(&plan.steps[web.0].kind, Kind::Source(Source::Http { url, .. }) if url == "https://h/f.tgz")
    );
    assert!(matches!(&plan.steps[git.0].kind,
        Kind::Source(Source::Git(git)) if git.reference == "v1" && git.folder == "sub"));
    let contexts = plan.steps.iter().filter_map(|step| match &step.kind {
        Kind::Source(Source::Context { paths, .. }) => Some(paths.clone()),
        _ => None,
    });
    // One for all, and all of it is read by the last one.
    assert_eq!(contexts.collect::<Vec<_>>(), [Vec::<String>::new()]);
}

#[test]
fn named_contexts_take_the_place_of_images_and_stages() {
    let mut options = options();
    let contexts = [
        ("dir", NamedContext::Folder),
        ("alpine", NamedContext::Image("other:1".to_owned())),
        ("made", NamedContext::Build("web".to_owned())),
        ("stage", NamedContext::Image("scratch".to_owned())),
    ];
    options.contexts = contexts
        .map(|(name, context)| (name.to_owned(), context))
        .into();
    let text = "FROM nothing AS stage\nRUN never\nFROM alpine:latest\nCOPY --from=dir a b /\n\
        COPY --from=made c /\nCOPY --from=stage / /\nRUN --mount=from=dir,source=d,target=/d x\n";
    let plan = planned_with(text, &options).unwrap();
    let expected = [
        "0 <> [context alpine] docker.io/library/other:1",
        "1 <> [context dir] load from client",
        "2 <0,1> [stage-1 1/5] COPY --from=dir a b /",
        "3 <> [context web] load the result of another build",
        "4 <2,3> [stage-1 2/5] COPY --from=made c /",
        "5 <4> [stage-1 3/5] COPY --from=stage / /",
        "6 <1,5> [stage-1 4/5] RUN --mount=from=dir,source=d,target=/d x",
    ];
    assert_eq!(outline(&plan), expected);
    let Kind::Source(Source::Context { name, paths }) = &plan.steps[1].kind else {
        panic!("no context");
    };
    assert_eq!(
        (name.as_deref(), paths.as_slice()),
        (Some("dir"), &["a", "b", "d"].map(str::to_owned)[..])
    );
    let request = BaseRequest::Image {
        reference: "docker.io/library/other:1".to_owned(),
        platform: "linux/amd64".to_owned(),
    };
    let file = parse(text.as_bytes()).unwrap();
    let Ok(Outcome::Needs(needs)) = super::plan(&file, &options, &Bases::new()) else {
        panic!("no needs");
    };
    let other = BaseRequest::Build {
        name: "web".to_owned(),
    };
    let needs: Vec<BaseRequest> = needs.into_iter().map(|(need, _)| need).collect();
    assert_eq!(needs, [request, other]);
}

#[test]
fn options_reach_every_command() {
    let options = Options {
        network: Network::Host,
        no_cache: NoCache::Stages(["A".to_owned()].into()),
        arguments: [
            ("HTTP_PROXY", "p"),
            ("USED", "u"),
            ("UNUSED", "x"),
            ("SOURCE_DATE_EPOCH", "7"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into(),
        labels: [("l".to_owned(), "1".to_owned())].into(),
        platform: Some(Platform::parse("linux/arm64").unwrap()),
        shows_platform: true,
        grants: Grants {
            insecure: Insecure::WhereAsked,
            ..Grants::default()
        },
        ..options()
    };
    let text = "FROM b AS a\nARG USED\nRUN 1\nFROM a\nRUN --network=none --security=insecure 2\n";
    let plan = planned_with(text, &options).unwrap();
    let (first, second) = (&plan.steps[1], &plan.steps[2]);
    assert_eq!(first.name, "[linux/arm64 a 2/2] RUN 1");
    assert_eq!((first.ignores_cache, second.ignores_cache), (true, false));
    assert_eq!(run_of(first).network, Network::Host);
    assert_eq!(run_of(second).network, Network::None);
    assert!(run_of(second).is_privileged);
    let proxies = [("HTTP_PROXY", "p"), ("http_proxy", "p")];
    assert_eq!(
        run_of(first).proxies,
        proxies.map(|(name, value)| (name.to_owned(), value.to_owned()))
    );
    assert_eq!(plan.unused_arguments, ["UNUSED"]);
    assert_eq!(plan.epoch, Some(7));
    assert_eq!(plan.config.architecture, "arm64");
    assert_eq!(plan.config.config.labels["l"], "1");
    let rules: Vec<&str> = plan
        .warnings
        .iter()
        .map(|warning| warning.rule.name())
        .collect();
    assert_eq!(rules, ["InvalidBaseImagePlatform"]);
}

#[test]
fn what_is_wrong_is_said() {
    let plain = options();
    let target = Options {
        target: Some("biuld".to_owned()),
        ..options()
    };
    for (text, options, expected) in [
        ("FROM a AS build", &target, "there is no stage `biuld`"),
        ("FROM a\nCOPY --from=3 a b", &plain, "there is no stage `3`"),
        (
            "FROM a\nCOPY --from=$X a b",
            &plain,
            "`from` cannot have variables",
        ),
        ("FROM $X", &plain, "the name of the base, `$X`, is empty"),
        ("FROM A/B", &plain, "neither a stage nor an image"),
        ("FROM a AS a\nCOPY --from=a b c", &plain, "from itself"),
        (
            "FROM a\nCOPY --from=b b c\nFROM a AS b\nFROM a\nCOPY --from=0 a b",
            &plain,
            "stands below",
        ),
        ("FROM a\nENV X=\"${Y:?set it}\"", &plain, "`Y`: set it"),
        (
            "FROM a\nADD --checksum=x https://h/f /",
            &plain,
            "the checksum",
        ),
        (
            "FROM a\nADD https://h/r.git?x=y /",
            &plain,
            "no option of a git address",
        ),
    ] {
        let found = message(text, options);
        assert!(found.contains(expected), "{text}: {found}");
    }
    let problems = planned_with("FROM a\nUSER ${A:?1}\nRUN x\nUSER ${B:?2}", &plain).unwrap_err();
    assert_eq!(problems.len(), 2);
    let problem = &planned_with("FROM a AS build", &target).unwrap_err()[0];
    assert_eq!(problem.help.as_deref(), Some("did you mean `build`?"));
}

#[test]
fn triggers_that_are_wrong_are_told_at_their_from() {
    let file = parse(b"FROM scratch\nFROM x").unwrap();
    let request = BaseRequest::Image {
        reference: "docker.io/library/x:latest".to_owned(),
        platform: "linux/amd64".to_owned(),
    };
    let config = PLAIN.replace("{},", "{\"OnBuild\": [\"RUN a\\nRUN b\"]},");
    let bases = Bases::from([(request, base(&config))]);
    let problems = plan(&file, &options(), &bases).unwrap_err();
    assert_eq!(problems[0].at, Span { start: 13, end: 19 });
    assert!(problems[0].message.contains("not one instruction"));
}

#[test]
fn ignored_sources_are_warned_of() {
    let options = Options {
        ignore: Some(Ignore::parse("secret\n").unwrap()),
        ..options()
    };
    let plan = planned_with("FROM scratch\nCOPY secret/x /\n", &options).unwrap();
    assert_eq!(plan.warnings.len(), 1);
    assert_eq!(
        plan.warnings[0].message,
        "Attempting to Copy file \"secret/x\" that is excluded by .dockerignore"
    );
}
