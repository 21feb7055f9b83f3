//! One file over another: the rules of merging as a table, and the lists in
//! which an entry replaces the one of the same key.
//!
//! Specification: "Merge and override".

use std::collections::HashSet;
use std::sync::LazyLock;

use super::diag::Report;
use super::tree::{Map, Mark, Node, Rules, Trail, Value};

/// How two values of an attribute become one. Without a rule mappings are
/// merged, lists are joined, and of two scalars the later one counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// The later value counts, whatever it is.
    Replace,
    /// Both become lists (`KEY=VALUE` for mappings) and are joined.
    Join,
    /// As `Join`, but a mapping stays one, for the schema to refuse: it names no files.
    JoinFiles,
    /// As `Join`, without what is there already.
    JoinNew,
    /// Lists of names become mappings, which are merged.
    Names,
    /// As `Names`, a name alone meaning "started and required".
    DependsOn,
    /// A string is the context.
    Build,
    /// Merged where the drivers agree, else replaced.
    Logging,
    /// Pools are merged by subnet.
    IpamConfig,
}

static RULES: LazyLock<Rules<Rule>> = LazyLock::new(|| {
    use Rule::{Build, DependsOn, IpamConfig, Join, JoinFiles, JoinNew, Logging, Names, Replace};
    Rules::new(&[
        ("networks.*.ipam.config", IpamConfig),
        ("networks.*.labels", Join),
        ("volumes.*.labels", Join),
        ("services.*.annotations", Join),
        ("services.*.build", Build),
        ("services.*.build.args", Join),
        ("services.*.build.additional_contexts", Join),
        ("services.*.build.extra_hosts", JoinNew),
        ("services.*.build.labels", Join),
        ("services.*.command", Replace),
        ("services.*.depends_on", DependsOn),
        ("services.*.deploy.labels", Join),
        ("services.*.dns", Join),
        ("services.*.dns_opt", Join),
        ("services.*.dns_search", Join),
        ("services.*.entrypoint", Replace),
        ("services.*.env_file", JoinFiles),
        ("services.*.label_file", JoinFiles),
        ("services.*.environment", Join),
        // What is left of these could not be followed, and that was told.
        ("services.*.extends", Replace),
        ("services.*.extra_hosts", JoinNew),
        ("services.*.healthcheck.test", Replace),
        ("services.*.labels", Join),
        ("services.*.volumes.*.volume.labels", Join),
        ("services.*.logging", Logging),
        ("services.*.models", Names),
        ("services.*.networks", Names),
        ("services.*.sysctls", Join),
        ("services.*.tmpfs", Join),
        ("services.*.ulimits.*", Replace),
    ])
});

/// Most pools of a network in one file: each is compared with all others.
const MOST_POOLS: usize = 200;

/// Merges a file's tree over what came before it.
pub(crate) fn merge(base: Node, over: Node, report: &mut Report) -> Node {
    let mut merger = Merger {
        report,
        trail: Trail::default(),
    };
    merger.node(base, over, Some(&RULES))
}

/// Merges a service over the one it extends.
pub(crate) fn merge_service(name: &str, base: Node, over: Node, report: &mut Report) -> Node {
    let rules = RULES.key("services").and_then(Rules::item);
    let mut merger = Merger {
        report,
        trail: Trail::new(format!("services.{name}")),
    };
    merger.node(base, over, rules)
}

struct Merger<'a> {
    report: &'a mut Report,
    trail: Trail,
}

/// Attributes that may be a mapping as well as a list.
const EITHER_FORM: [&str; 8] = [
    "annotations",
    "args",
    "depends_on",
    "environment",
    "extra_hosts",
    "labels",
    "networks",
    "sysctls",
];

impl Merger<'_> {
    fn node(&mut self, base: Node, over: Node, rules: Option<&Rules<Rule>>) -> Node {
        if let Some(rule) = rules.and_then(Rules::rule) {
            return self.by_rule(rule, base, over, rules);
        }
        if over.is_null() {
            return base;
        }
        match (&base.value, &over.value) {
            (Value::Map(_), Value::Map(_)) => self.mappings(base, over, rules),
            (Value::Seq(_), Value::Seq(_)) => join(base, over),
            (Value::Map(_) | Value::Seq(_), _) => self.clash(base, &over),
            _ => self.replace(&base, over),
        }
    }

    fn replace(&mut self, base: &Node, over: Node) -> Node {
        if let Some(trace) = &mut self.report.trace {
            trace.history.replace(self.trail.as_str(), &over, base);
        }
        over
    }

    /// Reports that two values do not go together; the earlier one stays.
    #[track_caller]
    fn clash(&mut self, base: Node, over: &Node) -> Node {
        let message = format!("{} cannot be merged over {}", over.kind(), base.kind());
        let mut diagnostic = self
            .report
            .at(over.place(), self.trail.as_str(), message)
            .expected(format!("{}, as in the earlier place", base.kind()))
            .suggest(self.either_form(&base));
        self.report
            .also(&mut diagnostic, "the earlier value is", base.place());
        self.report.push(diagnostic);
        base
    }

    /// How to go on where two values do not go together.
    fn either_form(&self, base: &Node) -> String {
        let key = self.trail.as_str().rsplit(['.', ']']).next();
        let form = match base.as_map() {
            Some(_) => "as attributes below it, `NAME: VALUE`",
            None => "as a list below it, each entry behind a `- `",
        };
        let mut text = format!("write this {form}, as in the earlier place");
        if let Some(key) = key.filter(|key| EITHER_FORM.contains(key)) {
            text.push_str(&format!(
                "; where both forms are allowed, `{key}: !override` replaces the earlier value"
            ));
        }
        text
    }

    fn mappings(&mut self, mut base: Node, over: Node, rules: Option<&Rules<Rule>>) -> Node {
        let (Value::Map(map), Value::Map(other)) = (&mut base.value, over.value) else {
            return base;
        };
        for (key, child) in other {
            let Some(slot) = map.get_mut(&key) else {
                map.insert(key, child);
                continue;
            };
            let earlier = std::mem::replace(slot, Node::null(Mark::default()));
            let key_mark = if child.is_null() {
                earlier.key
            } else {
                child.key
            };
            let before = self.trail.key(&key);
            let below = rules.and_then(|rules| rules.key(&key));
            let merged = self.node(earlier, child, below).with_key(key_mark);
            self.trail.leave(before);
            if let Some(slot) = map.get_mut(&key) {
                *slot = merged;
            }
        }
        base
    }

    fn by_rule(&mut self, rule: Rule, base: Node, over: Node, rules: Option<&Rules<Rule>>) -> Node {
        match rule {
            Rule::Replace => self.replace(&base, over),
            Rule::JoinFiles if base.as_map().is_some() => base,
            Rule::JoinFiles if over.as_map().is_some() => over,
            Rule::Join | Rule::JoinFiles => join(into_list(base), into_list(over)),
            Rule::JoinNew => {
                let base = into_list(base);
                let mut over = into_list(over);
                if let (Some(known), Some(items)) = (base.as_seq(), over.as_seq_mut()) {
                    let texts: HashSet<&str> = known.iter().filter_map(Node::as_str).collect();
                    items.retain(|item| match item.as_str() {
                        Some(text) => !texts.contains(text),
                        None => true, // the schema refuses it
                    });
                }
                join(base, over)
            }
            Rule::Names => self.merge_forms(base, over, rules, &|mark| Node::null(mark)),
            Rule::DependsOn => self.merge_forms(base, over, rules, &started),
            Rule::Build => self.merge_context(base, over, rules),
            Rule::Logging => self.logging(base, over, rules),
            Rule::IpamConfig => self.ipam_config(base, &over),
        }
    }

    /// Merges two mappings, either of which may be a list of names.
    fn merge_forms(
        &mut self,
        base: Node,
        over: Node,
        rules: Option<&Rules<Rule>>,
        named: &dyn Fn(Mark) -> Node,
    ) -> Node {
        if over.is_null() {
            return base;
        }
        let base = into_mapping(base, named);
        let over = into_mapping(over, named);
        self.both_mappings(base, over, rules)
    }

    fn both_mappings(&mut self, base: Node, over: Node, rules: Option<&Rules<Rule>>) -> Node {
        if over.is_null() {
            return base;
        }
        if base.is_null() {
            return over;
        }
        match (&base.value, &over.value) {
            (Value::Map(_), Value::Map(_)) => self.mappings(base, over, rules),
            _ => self.clash(base, &over),
        }
    }

    fn merge_context(&mut self, base: Node, over: Node, rules: Option<&Rules<Rule>>) -> Node {
        let long = |node: Node| match &node.value {
            Value::Str(text) => {
                let mut map = Map::new();
                map.insert("context".to_owned(), Node::str(text.clone(), node.mark));
                Node {
                    value: Value::Map(map),
                    ..node
                }
            }
            _ => node,
        };
        self.both_mappings(long(base), long(over), rules)
    }

    fn logging(&mut self, base: Node, over: Node, rules: Option<&Rules<Rule>>) -> Node {
        match (base.get("driver"), over.get("driver")) {
            (Some(earlier), Some(later)) if earlier != later => self.replace(&base, over),
            _ => self.both_mappings(base, over, rules),
        }
    }

    /// Pools of one subnet are merged. The reference works on shared mappings,
    /// so a pool that is in the result already changes there when it is merged
    /// again; `pools` holds places in `all` for the same effect.
    fn ipam_config(&mut self, base: Node, over: &Node) -> Node {
        let mark = over.mark;
        let (Some(bases), Some(overs)) = (base.as_seq(), over.as_seq()) else {
            return self.clash(base, over);
        };
        let originals = bases.len();
        if originals.max(overs.len()) > MOST_POOLS {
            let message = format!("more than {MOST_POOLS} pools are merged");
            self.report.error(mark, self.trail.as_str(), message);
            return base;
        }
        let mut all: Vec<Node> = bases.iter().chain(overs).cloned().collect();
        let mut pools: Vec<usize> = Vec::new();
        let subnet = |all: &[Node], at: usize| all.get(at)?.get("subnet").cloned();
        for original in 0..originals {
            for later in originals..all.len() {
                let wanted = subnet(&all, later);
                let known = pools.iter().any(|at| subnet(&all, *at) == wanted);
                if wanted != subnet(&all, original) && !known {
                    pools.push(later);
                    continue;
                }
                let (Some(left), Some(right)) = (all.get(original), all.get(later)) else {
                    continue;
                };
                let merged = self.both_mappings(left.clone(), right.clone(), None);
                let name = merged.get("subnet").cloned();
                if let Some(slot) = all.get_mut(original) {
                    *slot = merged;
                }
                let known = pools.iter().position(|at| subnet(&all, *at) == name);
                match known.and_then(|at| pools.get_mut(at)) {
                    Some(slot) => *slot = original,
                    None => pools.push(original),
                }
            }
        }
        let pools = pools
            .into_iter()
            .filter_map(|at| all.get(at).cloned())
            .collect();
        Node::seq(pools, mark)
    }
}

/// Two lists after each other.
fn join(mut base: Node, over: Node) -> Node {
    if let (Value::Seq(items), Value::Seq(more)) = (&mut base.value, over.value) {
        items.extend(more);
    }
    base
}

/// A mapping as the list of `KEY=VALUE` that means the same, a string as a list
/// of one.
fn into_list(node: Node) -> Node {
    let mark = node.mark;
    let key_mark = node.key;
    let items = match node.value {
        Value::Seq(items) => items,
        Value::Map(map) => {
            let mut items: Vec<Node> = map
                .into_iter()
                .flat_map(|(key, child)| pairs(&key, &child))
                .collect();
            items.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
            items
        }
        Value::Str(_) => vec![node],
        _ => Vec::new(),
    };
    Node::seq(items, mark).with_key(key_mark)
}

fn pairs(key: &str, child: &Node) -> Vec<Node> {
    let pair = |value: &Node| {
        let text = as_reference(value);
        Node::str(format!("{key}={text}"), value.mark).with_key(child.key)
    };
    match &child.value {
        Value::Null => vec![Node::str(key, child.key)],
        Value::Seq(items) => items.iter().map(pair).collect(),
        _ => vec![pair(child)],
    }
}

/// Any value as the reference makes a text of it here, also one that has no place there:
/// the shape is looked at after the merge only.
fn as_reference(value: &Node) -> String {
    let joined = |texts: Vec<String>| texts.join(" ");
    match &value.value {
        Value::Null => "<nil>".to_owned(),
        Value::Seq(items) => format!("[{}]", joined(items.iter().map(as_reference).collect())),
        Value::Map(map) => {
            let mut pairs: Vec<_> = map.iter().collect();
            pairs.sort_by_key(|(key, _)| *key);
            let texts = pairs
                .into_iter()
                .map(|(key, value)| format!("{key}:{}", as_reference(value)));
            format!("map[{}]", joined(texts.collect()))
        }
        _ => value.scalar_text().unwrap_or_default(),
    }
}

/// A list of names as a mapping; anything else stays.
fn into_mapping(node: Node, named: &dyn Fn(Mark) -> Node) -> Node {
    let Value::Seq(items) = &node.value else {
        return node;
    };
    let map: Map = items
        .iter()
        .filter_map(|item| Some((item.as_str()?.to_owned(), named(item.mark))))
        .collect();
    Node {
        value: Value::Map(map),
        ..node
    }
}

/// What a name alone in `depends_on` means.
pub(crate) fn started(mark: Mark) -> Node {
    let mut map = Map::with_capacity(3);
    map.insert("condition".to_owned(), Node::str("service_started", mark));
    map.insert("required".to_owned(), Node::bool(true, mark));
    Node::map(map, mark)
}
