//! What is in the firewall: chains, rules and elements as the kernel lists them,
//! whoever made them.

use std::io;

use super::nft::{
    DATA_VERDICT, Element, FAMILY_HEADER, Family, GETCHAIN, GETRULE, Hook, SUBSYSTEM, Table,
    Verdict,
};
use crate::net::netlink::attributes;
use crate::net::netlink::{Connection, Request};

/// A chain that the kernel calls, whoever made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::net) struct BaseChain {
    pub(in crate::net) table: Table,
    pub(in crate::net) name: String,
    pub(in crate::net) hook: u32,
    pub(in crate::net) kind: String,
    pub(in crate::net) drops_by_policy: bool,
}

impl BaseChain {
    /// True of a chain that filters at this place.
    pub(in crate::net) fn filters(&self, hook: Hook) -> bool {
        self.kind == "filter" && self.hook == hook.number()
    }
}

/// Lists the base chains of all tables of IPv4, IPv6 or both.
pub(in crate::net) fn base_chains(connection: &mut Connection) -> io::Result<Vec<BaseChain>> {
    let request = Request {
        kind: SUBSYSTEM | GETCHAIN,
        flags: 0,
        body: vec![0; FAMILY_HEADER],
    };
    let answers = connection.dump(&request)?;
    Ok(answers
        .iter()
        .filter_map(|(_, body)| parse_chain(body))
        .collect())
}

fn parse_chain(body: &[u8]) -> Option<BaseChain> {
    let family = Family::of(*body.first()?)?;
    let chain = body.get(FAMILY_HEADER..)?;
    let text = |kind| attributes::find(chain, kind).map(attributes::as_text);
    let hook = attributes::find(chain, 4)?;
    let policy = attributes::find(chain, 5).and_then(attributes::as_number);
    Some(BaseChain {
        table: Table {
            family,
            name: text(1)?,
        },
        name: text(3)?,
        hook: attributes::find(hook, 1).and_then(attributes::as_number)?,
        kind: text(7)?,
        drops_by_policy: policy == Some(0),
    })
}

/// A rule as listed: what is needed to judge and to remove it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::net) struct ListedRule {
    pub(in crate::net) chain: String,
    pub(in crate::net) handle: u64,
    pub(in crate::net) comment: Option<String>,
    /// Matches everything, and ends with this: `drop` also for a reject.
    pub(in crate::net) unconditional: Option<Verdict>,
}

/// Lists the rules of a table, in order.
pub(in crate::net) fn rules(
    connection: &mut Connection,
    table: &Table,
) -> io::Result<Vec<ListedRule>> {
    let request = table.message(GETRULE, 0, |w| w);
    let answers = match connection.dump(&request) {
        Ok(answers) => answers,
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Vec::new(),
        Err(error) => return Err(error),
    };
    let parsed = answers.iter().filter_map(|(_, body)| {
        let rule = body.get(FAMILY_HEADER..)?;
        // Kernels before 4.x answer with all tables.
        let table_name = attributes::find(rule, 1).map(attributes::as_text)?;
        (table_name == table.name)
            .then(|| parse_rule(rule))
            .flatten()
    });
    Ok(parsed.collect())
}

fn parse_rule(rule: &[u8]) -> Option<ListedRule> {
    let handle = attributes::find(rule, 3)?.try_into().ok()?;
    let comment = attributes::find(rule, 7).and_then(|data| match data {
        [0, length, rest @ ..] => rest.get(..usize::from(*length)).map(attributes::as_text),
        _ => None,
    });
    Some(ListedRule {
        chain: attributes::find(rule, 2).map(attributes::as_text)?,
        handle: u64::from_be_bytes(handle),
        comment,
        unconditional: attributes::find(rule, 4).and_then(unconditional),
    })
}

/// The verdict of a rule that has no condition.
fn unconditional(expressions: &[u8]) -> Option<Verdict> {
    for (_, expression) in attributes::read(expressions) {
        let name = attributes::find(expression, 1).map(attributes::as_text)?;
        match name.as_str() {
            "counter" | "log" => {}
            "reject" => return Some(Verdict::Drop),
            "immediate" => {
                let data = attributes::find(expression, 2)?;
                let verdict = attributes::find(attributes::find(data, 2)?, DATA_VERDICT)?;
                let chain = attributes::find(verdict, 2).map(attributes::as_text);
                return match attributes::find(verdict, 1).and_then(attributes::as_number)? {
                    0 => Some(Verdict::Drop),
                    1 => Some(Verdict::Accept),
                    _ => chain.map(Verdict::Jump),
                };
            }
            _ => return None,
        }
    }
    None
}

/// True where the set has the element.
pub(in crate::net) fn has_element(
    connection: &mut Connection,
    table: &Table,
    set: &str,
    element: &Element,
) -> io::Result<bool> {
    Ok(connection
        .query(&table.find_element(set, element))?
        .is_some())
}
