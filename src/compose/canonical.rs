//! Short syntax to long syntax: a table of the attributes that have both.
//!
//! Runs after validation of the shape, and on the files of `extends`, which are
//! validated only once they are merged: so every rule leaves alone what it does
//! not know.

use std::sync::LazyLock;

use super::diag::{Allowed, Report, did_you_mean, quoted};
use super::limits::{Budget, MOST_NODES};
use super::merge::started;
use super::paths::clean;
use super::short;
use super::tree::{Map, Mark, Node, Rules, Trail, Value};

/// What becomes of an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// A string is a `context`; below that the rules go on.
    Build,
    /// A string is a `source`.
    FileMount,
    /// Anything becomes a string.
    Text,
    /// A list of `KEY=VALUE` becomes a mapping.
    KeyValue,
    DependsOn,
    EnvFile,
    /// A string becomes a list of one.
    List,
    Gpus,
    /// A list of names becomes a mapping to nothing.
    Names,
    Mount,
    Device,
    Ports,
    Ssh,
    Ulimit,
    /// The deprecated `external: {name: …}`.
    External,
}

static FORMS: LazyLock<Rules<Form>> = LazyLock::new(|| {
    use Form::{
        Build, DependsOn, Device, EnvFile, External, FileMount, Gpus, KeyValue, List, Mount, Names,
        Ports, Ssh, Text, Ulimit,
    };
    Rules::new(&[
        ("services.*.build", Build),
        ("services.*.build.secrets.*", FileMount),
        ("services.*.build.provenance", Text),
        ("services.*.build.sbom", Text),
        ("services.*.build.additional_contexts", KeyValue),
        ("services.*.build.ssh", Ssh),
        ("services.*.build.ulimits.*", Ulimit),
        ("services.*.depends_on", DependsOn),
        ("services.*.env_file", EnvFile),
        ("services.*.label_file", List),
        ("services.*.gpus", Gpus),
        ("services.*.networks", Names),
        ("services.*.models", Names),
        ("services.*.volumes.*", Mount),
        ("services.*.dns", List),
        ("services.*.devices.*", Device),
        ("services.*.secrets.*", FileMount),
        ("services.*.configs.*", FileMount),
        ("services.*.ports", Ports),
        ("services.*.ulimits.*", Ulimit),
        ("services.*.develop.watch.*.ignore", List),
        ("services.*.develop.watch.*.include", List),
        ("volumes.*", External),
        ("networks.*", External),
        ("secrets.*", External),
        ("configs.*", External),
    ])
});

/// Rewrites a whole tree in place, as far as there is room for more nodes. In a
/// `raw` tree variables are still as they are written: what cannot be read for
/// that stays in its short form.
pub(crate) fn canonical(tree: &mut Node, raw: bool, room: &mut Budget, report: &mut Report) {
    let mut walk = Walk {
        raw,
        room,
        report,
        trail: Trail::default(),
    };
    walk.node(tree, &FORMS);
}

struct Walk<'a> {
    raw: bool,
    room: &'a mut Budget,
    report: &'a mut Report,
    trail: Trail,
}

impl Walk<'_> {
    fn node(&mut self, node: &mut Node, forms: &Rules<Form>) {
        if let Some(form) = forms.rule() {
            if self.has_room(node, growth(node, form)) {
                self.apply(node, form);
            }
            if form != Form::Build {
                return;
            }
        }
        match &mut node.value {
            Value::Map(map) => {
                for (key, child) in map {
                    if let Some(below) = forms.key(key) {
                        let before = self.trail.key(key);
                        self.node(child, below);
                        self.trail.leave(before);
                    }
                }
            }
            Value::Seq(items) => {
                if let Some(below) = forms.item() {
                    for (index, child) in items.iter_mut().enumerate() {
                        let before = self.trail.index(index);
                        self.node(child, below);
                        self.trail.leave(before);
                    }
                }
            }
            _ => {}
        }
    }

    fn apply(&mut self, node: &mut Node, form: Form) {
        match form {
            Form::Build => wrap_string(node, "context"),
            Form::FileMount => wrap_string(node, "source"),
            Form::Text => {
                if let Some(text) = node.scalar_text() {
                    node.value = Value::Str(text);
                }
            }
            Form::KeyValue => self.key_value(node),
            Form::DependsOn => depends_on(node),
            Form::EnvFile => env_file(node),
            Form::List => {
                if let Value::Str(_) = node.value {
                    node.value = Value::Seq(vec![node.clone()]);
                }
            }
            Form::Gpus => {
                if let Value::Str(_) = node.value {
                    let all = Node::str("all", node.mark);
                    let request = object(node.mark, [("count", all)]);
                    node.value = Value::Seq(vec![request]);
                }
            }
            Form::Names => names(node),
            Form::Mount => self.mount(node),
            Form::Device => self.device(node),
            Form::Ports => self.ports(node),
            Form::Ssh => self.ssh(node),
            Form::Ulimit => self.ulimit(node),
            Form::External => self.external(node),
        }
    }

    /// False, and told, where so many more nodes are too many.
    fn has_room(&mut self, node: &Node, more: usize) -> bool {
        let was_full = self.room.left() == 0;
        let has_room = more == 0 || self.room.take(more);
        if !has_room && !was_full {
            let message =
                format!("written out in full, the project has more than {MOST_NODES} nodes");
            self.report.error(node.mark, self.trail.as_str(), message);
        }
        has_room
    }

    #[track_caller]
    fn error(&mut self, mark: Mark, message: impl Into<String>, expected: &str) {
        let diagnostic = self
            .report
            .at(mark, self.trail.as_str(), message)
            .expected(expected);
        self.report.push(diagnostic);
    }

    fn key_value(&mut self, node: &mut Node) {
        let Value::Seq(items) = &node.value else {
            return;
        };
        let is_pair = |item: &Node| item.as_str().is_some_and(|text| text.contains('='));
        if self.raw && !items.iter().all(is_pair) {
            return;
        }
        let mut map = Map::new();
        for (index, item) in items.clone().iter().enumerate() {
            let before = self.trail.index(index);
            if let Some((key, value)) = item.as_str().and_then(|text| text.split_once('=')) {
                map.insert(key.to_owned(), Node::str(value, item.mark));
            } else {
                let message = super::model::shown(item, "has no `=`");
                self.error(
                    item.mark,
                    message,
                    "NAME=VALUE, such as `base=docker-image://alpine`",
                );
            }
            self.trail.leave(before);
        }
        node.value = Value::Map(map);
    }

    fn mount(&mut self, node: &mut Node) {
        let Value::Str(text) = &node.value else {
            return;
        };
        let mount = match short::parse_mount(text) {
            Ok(mount) => mount,
            Err(_) if self.raw => return,
            Err(message) => {
                let mut diagnostic = self
                    .report
                    .at(node.mark, self.trail.as_str(), message)
                    .expected(
                        "[SOURCE:]TARGET[:OPTIONS], such as `./data:/data:ro` or `data:/data`",
                    );
                let parts: Vec<&str> = text.split(':').filter(|part| !part.is_empty()).collect();
                diagnostic.suggestion = match parts.as_slice() {
                    [source, target, options @ ..] if options.len() > 1 => {
                        let options = options.join(",");
                        Some(format!("write `{source}:{target}:{options}`"))
                    }
                    [_, _, ..] => Some(format!("write `{}`", parts.join(":"))),
                    [] => Some(
                        "write what is mounted and where, such as `./data:/data`, or remove the entry"
                            .to_owned(),
                    ),
                    [only] if only.starts_with('/') => Some(format!("write `{only}`")),
                    [only] => Some(format!("write `{only}:/data`, or whatever path it has in the container")),
                };
                if parts.is_empty() {
                    diagnostic = diagnostic.of_empty_variable("./data:/data");
                }
                self.report.push(diagnostic);
                return;
            }
        };
        let unknown = if self.raw { &[][..] } else { &mount.unknown };
        for option in unknown {
            let message = format!("`{option}` is no option of a mount, it has no effect");
            let mut warning = self.report.at(node.mark, self.trail.as_str(), message);
            let known = short::MOUNT_OPTIONS;
            warning.expected = Some(format!("options out of {}", known.join(", ")));
            warning.suggestion = did_you_mean(option, known.into_iter());
            self.report.push_warning(warning);
        }
        let mut long = long_mount(&mount, node.mark);
        if text.len() <= 2 {
            // The reference looks no further at something this short.
            long.shift_remove("volume");
        }
        node.value = Value::Map(long);
    }

    fn device(&mut self, node: &mut Node) {
        let Value::Str(text) = &node.value else {
            return;
        };
        let parts: Vec<&str> = text.split(':').collect();
        let (source, target, permissions) = match parts.as_slice() {
            [source] => (*source, "", "rwm"),
            [source, target] => (*source, *target, "rwm"),
            [source, target, permissions] => (*source, *target, *permissions),
            // As the reference has it: a variable with a default has a colon.
            _ if self.raw => ("", "", "rwm"),
            _ => {
                let message = format!("{} has too many colons", quoted(text));
                let expected =
                    "SOURCE[:TARGET[:PERMISSIONS]], such as `/dev/ttyUSB0:/dev/ttyUSB0:rw`";
                self.error(node.mark, message, expected);
                return;
            }
        };
        let target = if target.is_empty() { source } else { target };
        let mark = node.mark;
        let members = [
            ("source", Node::str(source, mark)),
            ("target", Node::str(target, mark)),
            ("permissions", Node::str(permissions, mark)),
        ];
        node.value = object(mark, members).value;
    }

    fn ports(&mut self, node: &mut Node) {
        let Value::Seq(items) = &mut node.value else {
            return;
        };
        let is_short = |item: &Node| {
            let text = item.as_str();
            text.is_some_and(|text| short::parse_ports(text).is_err())
        };
        if self.raw && items.iter().any(is_short) {
            return;
        }
        let mut long = Vec::with_capacity(items.len());
        for (index, item) in std::mem::take(items).into_iter().enumerate() {
            let before = self.trail.index(index);
            self.port(item, &mut long);
            self.trail.leave(before);
        }
        *items = long;
    }

    fn port(&mut self, item: Node, long: &mut Vec<Node>) {
        if let Value::Map(_) = item.value {
            long.push(item);
            return;
        }
        if let Value::Float(_) = item.value {
            let message = super::model::shown(&item, "is not a port");
            let diagnostic = self
                .report
                .at(item.mark, self.trail.as_str(), message)
                .expected("a whole number, or a pair of ports in quotes: \"8080:80\"");
            self.report.push(diagnostic);
        } else {
            let text = item.scalar_text().unwrap_or_default();
            if self.room.left() == 0 {
                return; // told already: there is no more room
            }
            match short::parse_ports(&text) {
                Ok(ports) if !self.has_room(&item, ports.len() * GROWN_PORT) => {}
                Ok(ports) => {
                    long.extend(ports.iter().map(|port| long_port(port, item.mark)));
                    return;
                }
                Err(error) => {
                    let mut diagnostic = self
                        .report
                        .at(item.mark, self.trail.as_str(), error.message)
                        .expected(
                            "[[IP:]HOST:]CONTAINER[/PROTOCOL] or ranges of ports, \
                             such as `8080:80` or `127.0.0.1:9000-9002:80-82/udp`",
                        )
                        .allowed(error.allowed);
                    diagnostic.suggestion = error.suggestion;
                    if text.trim().is_empty() {
                        diagnostic = diagnostic.of_empty_variable("8080:80");
                    }
                    self.report.push(diagnostic);
                }
            }
        }
        // Something like no other stays, so that the others keep their places.
        let mark = item.mark;
        let members = [
            ("target", Node::new(Value::Int(0), mark)),
            (
                "published",
                Node::str(format!("{}:{}", mark.line, mark.column), mark),
            ),
        ];
        long.push(object(mark, members));
    }

    fn ssh(&mut self, node: &mut Node) {
        let Value::Seq(items) = &node.value else {
            return;
        };
        let mut map = Map::new();
        for item in items.clone() {
            let text = item.as_str().unwrap_or_default();
            match text.split_once('=') {
                Some((id, path)) => {
                    map.insert(id.to_owned(), Node::str(path, item.mark));
                }
                None if text == "default" => {
                    map.insert(text.to_owned(), Node::null(item.mark));
                }
                None => {
                    let message = super::model::shown(&item, "is not an SSH key");
                    self.error(item.mark, message, "`default` or ID=PATH");
                }
            }
        }
        node.value = Value::Map(map);
    }

    fn ulimit(&mut self, node: &mut Node) {
        if !matches!(node.value, Value::Int(_) | Value::Map(_)) {
            let message = super::model::shown(node, "is not a limit");
            let is_number = node
                .as_str()
                .is_some_and(|text| text.parse::<i64>().is_ok());
            let diagnostic = self
                .report
                .at(node.mark, self.trail.as_str(), message)
                .expected("a whole number, or `soft` and `hard`")
                .allowed(is_number.then_some(Allowed::NumberInQuotes));
            self.report.push(diagnostic);
            node.value = Value::Int(0);
        }
    }

    fn external(&mut self, node: &mut Node) {
        let Some(map) = node.as_map_mut() else {
            return;
        };
        let Some(external) = map.get_mut("external") else {
            return;
        };
        if external.as_map().is_none() {
            return;
        }
        let name = external.get("name").cloned();
        external.value = Value::Bool(true);
        let Some(name) = name else {
            return;
        };
        let earlier = map.get("name").cloned();
        if earlier.is_none() {
            map.insert("name".to_owned(), name.clone());
        }
        match earlier {
            Some(earlier) if earlier != name => {
                let message = "`name` and `external.name` differ";
                let mut diagnostic = self
                    .report
                    .at(name.mark, self.trail.as_str(), message)
                    .expected("one name: `external: true`, and `name` beside it")
                    .suggest("write `external: true`, and the right one of the names beside it");
                self.report.also(&mut diagnostic, "`name` is", earlier.mark);
                self.report.push(diagnostic);
            }
            _ => {
                let warning = self
                    .report
                    .at(
                        name.mark,
                        self.trail.as_str(),
                        "`external.name` is deprecated",
                    )
                    .suggest("write `name` and `external: true`");
                self.report.push_warning(warning);
            }
        }
    }
}

/// Nodes of a port that is written out: its mapping and what [`long_port`] puts
/// there. The largest ranges for two protocols (`1-65535:1-65535` and the same with
/// `/udp`) leave room for a project around them.
const GROWN_PORT: usize = 6;

/// How many nodes more a form may make of a node; ports are counted one by one.
fn growth(node: &Node, form: Form) -> usize {
    match (&node.value, form) {
        (Value::Str(_), Form::Mount) => 12,
        (Value::Str(_), Form::Device) => 8,
        (Value::Str(_), _) => 2,
        (Value::Seq(items), Form::DependsOn) => 5 * items.len(),
        (Value::Seq(items), Form::EnvFile) => {
            4 * items.iter().filter(|i| i.as_map().is_none()).count()
        }
        (Value::Seq(items), Form::Names | Form::KeyValue | Form::Ssh) => items.len(),
        _ => 0,
    }
}

/// The path in the container of a mount in short syntax.
pub(crate) fn mount_target(text: &str) -> Option<String> {
    short::parse_mount(text).ok().map(|mount| mount.target)
}

fn object<const N: usize>(mark: Mark, members: [(&str, Node); N]) -> Node {
    let map = members
        .into_iter()
        .map(|(key, node)| (key.to_owned(), node))
        .collect();
    Node::map(map, mark)
}

fn object_of(mark: Mark, key: &str, node: Node) -> Node {
    object(mark, [(key, node)])
}

fn wrap_string(node: &mut Node, key: &str) {
    if let Value::Str(text) = &node.value {
        let inner = Node::str(text.clone(), node.mark);
        node.value = object_of(node.mark, key, inner).value;
    }
}

fn depends_on(node: &mut Node) {
    match &mut node.value {
        Value::Seq(items) => {
            let map = items
                .iter()
                .filter_map(|item| Some((item.as_str()?.to_owned(), started(item.mark))))
                .collect();
            node.value = Value::Map(map);
        }
        Value::Map(map) => {
            for child in map.values_mut() {
                let mark = child.mark;
                if let Some(members) = child.as_map_mut() {
                    members
                        .entry("condition".to_owned())
                        .or_insert_with(|| Node::str("service_started", mark));
                    members
                        .entry("required".to_owned())
                        .or_insert_with(|| Node::bool(true, mark));
                }
            }
        }
        _ => {}
    }
}

fn env_file(node: &mut Node) {
    if let Value::Str(_) = node.value {
        node.value = Value::Seq(vec![node.clone()]);
    }
    for item in node.as_seq_mut().into_iter().flatten() {
        wrap_string(item, "path");
        let mark = item.mark;
        if let Some(map) = item.as_map_mut() {
            map.entry("required".to_owned())
                .or_insert_with(|| Node::bool(true, mark));
        }
    }
}

fn names(node: &mut Node) {
    if let Value::Seq(items) = &node.value {
        let map = items
            .iter()
            .filter_map(|item| {
                let name = item.as_str()?.to_owned();
                Some((name, Node::null(item.mark)))
            })
            .collect();
        node.value = Value::Map(map);
    }
}

fn long_mount(mount: &short::ShortMount, mark: Mark) -> Map {
    let text = |text: &str| Node::str(text, mark);
    let flag = |map: &mut Map, key: &str, value: bool| {
        if value {
            map.insert(key.to_owned(), Node::bool(true, mark));
        }
    };
    let mut map = Map::with_capacity(5);
    let kind = if mount.is_bind { "bind" } else { "volume" };
    map.insert("type".to_owned(), text(kind));
    if let Some(source) = &mount.source {
        map.insert("source".to_owned(), text(source));
    }
    map.insert("target".to_owned(), text(&clean(&mount.target)));
    flag(&mut map, "read_only", mount.read_only);
    if mount.is_bind || mount.selinux.is_some() || mount.propagation.is_some() {
        let mut bind = Map::with_capacity(1);
        for (key, value) in [
            ("selinux", &mount.selinux),
            ("propagation", &mount.propagation),
        ] {
            if let Some(value) = value {
                bind.insert(key.to_owned(), text(value));
            }
        }
        flag(&mut bind, "create_host_path", mount.is_bind);
        map.insert("bind".to_owned(), Node::map(bind, mark));
    }
    if !mount.is_bind || mount.nocopy {
        let mut volume = Map::with_capacity(usize::from(mount.nocopy));
        flag(&mut volume, "nocopy", mount.nocopy);
        map.insert("volume".to_owned(), Node::map(volume, mark));
    }
    map
}

fn long_port(port: &short::ShortPort, mark: Mark) -> Node {
    let mut map = Map::with_capacity(5);
    map.insert("mode".to_owned(), Node::str("ingress", mark));
    if let Some(address) = &port.host_ip {
        map.insert("host_ip".to_owned(), Node::str(address, mark));
    }
    let target = Node::new(Value::Int(i128::from(port.target)), mark);
    map.insert("target".to_owned(), target);
    if let Some(published) = &port.published {
        map.insert("published".to_owned(), Node::str(published, mark));
    }
    map.insert("protocol".to_owned(), Node::str(&port.protocol, mark));
    Node::map(map, mark)
}
