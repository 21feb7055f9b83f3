//! Compose projects of any size, of the kinds that people have: as files by
//! name, the main one first.

use std::fmt::Write as _;

use skiff::compose::{FileArg, LoadOptions, Memory};

/// What a project is made of mostly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Thirty lines a service, all written out.
    Plain,
    /// Services that merge anchors in.
    Anchors,
    /// Services that extend those of another file.
    Extends,
    /// Services that extend each other in chains of ten.
    Chains,
    /// Files of ten services each, included.
    Includes,
    /// Values that are variables with defaults.
    Variables,
    /// A second file that overrides something of each service.
    Overrides,
    /// Services that wait for each other.
    Dependencies,
}

impl Kind {
    pub(crate) const ALL: [Self; 8] = [
        Self::Plain,
        Self::Anchors,
        Self::Extends,
        Self::Chains,
        Self::Includes,
        Self::Variables,
        Self::Overrides,
        Self::Dependencies,
    ];

    /// The files of a project of so many services. Those that are given with
    /// `-f` are called `compose…`.
    pub(crate) fn files(self, services: usize) -> Vec<(String, String)> {
        let all = |service: fn(usize) -> String| (0..services).map(service).collect::<String>();
        let main = |text: String| vec![("compose.yaml".to_owned(), text)];
        match self {
            Self::Plain => main(format!(
                "services:\n{}volumes:\n{}",
                all(plain),
                all(|n| format!("  data{n}:\n")),
            )),
            Self::Anchors => main(format!("{ANCHORS}services:\n{}", all(anchored))),
            Self::Extends => vec![
                (
                    "compose.yaml".to_owned(),
                    format!("services:\n{}", all(extending)),
                ),
                ("base.yaml".to_owned(), format!("services:\n{}", all(base))),
            ],
            Self::Chains => main(format!("services:\n{}", all(chained))),
            Self::Includes => including(services),
            Self::Variables => main(format!("services:\n{}", all(variable))),
            Self::Overrides => vec![
                (
                    "compose.yaml".to_owned(),
                    format!("services:\n{}", all(base)),
                ),
                (
                    "compose.override.yaml".to_owned(),
                    format!("services:\n{}", all(overriding)),
                ),
            ],
            Self::Dependencies => main(format!("services:\n{}", all(waiting))),
        }
    }

    /// The same in memory, with what loads it.
    pub(crate) fn in_memory(self, services: usize) -> (LoadOptions, Memory) {
        let files = self.files(services);
        let options = LoadOptions {
            cwd: "/p".into(),
            files: files
                .iter()
                .filter(|(name, _)| name.starts_with("compose"))
                .map(|(name, _)| FileArg::Path(name.into()))
                .collect(),
            ..LoadOptions::default()
        };
        let memory = files
            .into_iter()
            .map(|(name, text)| (format!("/p/{name}"), text));
        (options, memory.collect())
    }
}

fn plain(n: usize) -> String {
    format!(
        "  web{n}:
    image: registry.example.com/team/web:{n}
    hostname: web{n}
    restart: unless-stopped
    command: [\"serve\", \"--port\", \"8080\", \"--verbose\"]
    environment:
      NAME: web{n}
      LEVEL: info
      DATABASE_URL: postgres://user:secret@db/app{n}
      EMPTY: ''
    ports:
      - \"127.0.0.1::8080\"
      - target: 9090
        protocol: tcp
    volumes:
      - ./data/{n}:/data:ro
      - data{n}:/var/lib/app
    labels:
      com.example.team: shop
      com.example.number: \"{n}\"
    healthcheck:
      test: [\"CMD\", \"curl\", \"-f\", \"http://localhost:8080/health\"]
      interval: 30s
      timeout: 5s
      retries: 3
    deploy:
      resources:
        limits:
          cpus: '0.50'
          memory: 128M
"
    )
}

const ANCHORS: &str = "x-service: &service
  restart: always
  environment: &environment
    LEVEL: info
    PORT: 8080
  logging: &logging
    driver: json-file
    options: {max-size: 10m, max-file: '3'}
x-health: &health
  healthcheck: {test: [CMD, 'true'], interval: 10s}
";

fn anchored(n: usize) -> String {
    format!(
        "  web{n}:\n    <<: [*service, *health]\n    image: web:{n}\n    \
         environment:\n      <<: *environment\n      NAME: web{n}\n    logging: *logging\n"
    )
}

fn extending(n: usize) -> String {
    format!("  web{n}:\n    extends: {{file: base.yaml, service: web{n}}}\n    labels: [a=b]\n")
}

fn base(n: usize) -> String {
    format!(
        "  web{n}:\n    image: web:{n}\n    environment: [A=1, NAME=web{n}]\n    \
         ports: ['80']\n    volumes: [./a:/a]\n    extra_hosts: ['a:1.2.3.4']\n"
    )
}

fn chained(n: usize) -> String {
    if n.is_multiple_of(10) {
        return base(n);
    }
    format!(
        "  web{n}:\n    extends: web{}\n    environment: [NAME=web{n}]\n",
        n - 1
    )
}

fn including(services: usize) -> Vec<(String, String)> {
    let mut main = String::from("include:\n");
    let mut included = Vec::new();
    for first in (0..services).step_by(10) {
        writeln!(main, "  - part{first}/compose.yaml").ok();
        let last = (first + 10).min(services);
        let text: String = (first..last).map(base).collect();
        included.push((
            format!("part{first}/compose.yaml"),
            format!("services:\n{text}"),
        ));
    }
    main.push_str("services:\n  main: {image: main}\n");
    included.insert(0, ("compose.yaml".to_owned(), main));
    included
}

fn variable(n: usize) -> String {
    format!(
        "  web{n}:\n    image: ${{REGISTRY:-docker.io}}/web:${{TAG{n}:-${{TAG:-latest}}}}\n    \
         environment:\n      A: ${{A{n}:-a}}\n      B: ${{B-b}}$${{C}}\n      \
         HOME: $HOME\n    command: echo ${{A:+set}} ${{B:-not ${{C:-at all}}}}\n"
    )
}

fn overriding(n: usize) -> String {
    format!(
        "  web{n}:\n    image: other:{n}\n    environment: {{B: 2}}\n    \
         ports: !override ['81']\n    volumes: [./b:/a, ./c:/c]\n    \
         extra_hosts: ['a:1.2.3.4', 'b:1.2.3.5']\n    labels: !reset null\n"
    )
}

fn waiting(n: usize) -> String {
    let mut text = format!("  web{n}:\n    image: web\n");
    if n > 2 {
        writeln!(
            text,
            "    depends_on:\n      web{}: {{condition: service_healthy}}\n      \
             web{}: {{condition: service_started, restart: true}}\n    links: [web{}]",
            n - 1,
            n / 2,
            n - 3
        )
        .ok();
    }
    text
}
