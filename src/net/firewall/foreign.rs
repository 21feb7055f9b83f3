//! Other people's firewalls.
//!
//! A drop in any base chain is final, whatever our table accepts: with Docker
//! running, its `FORWARD` chain drops by policy, and with `br_netfilter` even
//! packets within one of our bridges. So an accept for our bridges is put
//! into each such chain: into DOCKER-USER where the chain goes through it, else
//! at the head. Our own table still drops what must be dropped.
//!
//! Tables of the legacy iptables are out of `nf_tables`' reach; they are told of.

use fs_err as fs;

use super::listing::{self, BaseChain, ListedRule};
use super::nft::{self, Hook, Meta, Rule, Table, Verdict};
use super::{Firewall, failed};
use crate::net::error::NetError;
use crate::net::netlink::Request;
use crate::net::network::OPT_BRIDGE_NAME;

/// The chain that Docker leaves to its users.
const DOCKER_USER: &str = "DOCKER-USER";

/// The tables of legacy iptables in this namespace, where any were made.
const LEGACY_TABLES: &str = "/proc/thread-self/net/ip_tables_names";

impl Firewall<'_> {
    /// Lets our bridges through every foreign chain that would drop them;
    /// changes nothing where they are let through already. Answers what the
    /// user should know.
    pub(super) fn admit_to_foreign(&mut self) -> Result<Vec<String>, NetError> {
        let mut notes = legacy_note(&self.net.root.bridge_prefix());
        for chain in self.foreign_chains(Hook::Forward)? {
            let rules = self.foreign_rules(&chain.table)?;
            if !drops(&chain, &rules) {
                continue;
            }
            let place = place(&chain, &rules);
            let wanted = self.matches()?;
            let present = rules
                .iter()
                .filter(|rule| rule.chain == place && self.is_ours(rule))
                .count();
            if present == wanted.len() {
                continue;
            }
            let mut requests = self.removals(&chain.table, &rules);
            let accepts = wanted.into_iter().map(|rule| {
                let rule = rule
                    .comment(&self.table.name)
                    .count()
                    .verdict(&Verdict::Accept);
                chain.table.insert_rule(place, rule)
            });
            requests.extend(accepts);
            if let Err(error) = nft::transact(self.connection, &requests) {
                // firewalld owns its table and lets nobody else in.
                notes.push(format!(
                    "the firewall table `{}` drops packets of containers and cannot be changed ({}); \
                     allow the links `{}*` in its own configuration",
                    chain.table.name,
                    error,
                    self.net.root.bridge_prefix(),
                ));
            }
        }
        Ok(notes)
    }

    /// Takes our accepts out of all foreign chains.
    pub(super) fn leave_foreign(&mut self) -> Result<(), NetError> {
        for chain in self.foreign_chains(Hook::Forward)? {
            let rules = self.foreign_rules(&chain.table)?;
            let requests = self.removals(&chain.table, &rules);
            nft::transact(self.connection, &requests).map_err(|error| {
                failed("take rules out of the firewall table", &chain.table.name)(error)
            })?;
        }
        Ok(())
    }

    /// True where another firewall filters what comes in to this host, so that
    /// a rewritten port would go round it.
    pub(super) fn input_is_filtered(&mut self) -> Result<bool, NetError> {
        for chain in self.foreign_chains(Hook::Input)? {
            let rules = self.foreign_rules(&chain.table)?;
            if drops(&chain, &rules) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn foreign_chains(&mut self, hook: Hook) -> Result<Vec<BaseChain>, NetError> {
        let chains = listing::base_chains(self.connection)
            .map_err(failed("list", "the firewall's chains"))?;
        Ok(chains
            .into_iter()
            .filter(|chain| chain.filters(hook) && chain.table != self.table)
            .collect())
    }

    fn foreign_rules(&mut self, table: &Table) -> Result<Vec<ListedRule>, NetError> {
        listing::rules(self.connection, table)
            .map_err(failed("list the firewall table", &table.name))
    }

    fn is_ours(&self, rule: &ListedRule) -> bool {
        rule.comment.as_deref() == Some(&self.table.name)
    }

    fn removals(&self, table: &Table, rules: &[ListedRule]) -> Vec<Request> {
        rules
            .iter()
            .filter(|rule| self.is_ours(rule))
            .map(|rule| table.delete_rule(&rule.chain, rule.handle))
            .collect()
    }

    /// Conditions under which a packet is from or to one of our bridges: all
    /// names with our prefix, and each bridge with a name of its own.
    fn matches(&self) -> Result<Vec<Rule>, NetError> {
        let mut names = vec![self.net.root.bridge_prefix().into_bytes()];
        for record in self.net.records.networks()? {
            names.extend(record.spec.driver_opts.get(OPT_BRIDGE_NAME).map(|name| {
                let mut whole = name.clone().into_bytes();
                whole.push(0);
                whole
            }));
        }
        let both = [Meta::InputName, Meta::OutputName];
        Ok(names
            .iter()
            .flat_map(|name| both.map(|link| Rule::default().load_meta(link, 1).equals(name)))
            .collect())
    }
}

/// True where a packet that no rule accepts is dropped at the end.
fn drops(chain: &BaseChain, rules: &[ListedRule]) -> bool {
    let last = rules.iter().rfind(|rule| rule.chain == chain.name);
    chain.drops_by_policy || last.is_some_and(|rule| rule.unconditional == Some(Verdict::Drop))
}

/// The chain that our accepts are put into.
fn place<'a>(chain: &'a BaseChain, rules: &[ListedRule]) -> &'a str {
    let user = Verdict::Jump(DOCKER_USER.to_owned());
    let through = rules
        .iter()
        .any(|rule| rule.chain == chain.name && rule.unconditional.as_ref() == Some(&user));
    if through { DOCKER_USER } else { &chain.name }
}

fn legacy_note(prefix: &str) -> Vec<String> {
    let tables = fs::read_to_string(LEGACY_TABLES).unwrap_or_default();
    if !tables.lines().any(|table| table == "filter") {
        return Vec::new();
    }
    vec![format!(
        "legacy iptables rules exist, which skiff can neither read nor change; where they drop \
         packets of containers, run `iptables-legacy -I FORWARD -i {prefix}+ -j ACCEPT` and the \
         same with `-o`"
    )]
}

#[cfg(test)]
mod tests {
    use super::super::nft::Family;
    use super::*;

    fn chain(drops_by_policy: bool) -> BaseChain {
        BaseChain {
            table: Table {
                family: Family::Ip,
                name: "filter".to_owned(),
            },
            name: "FORWARD".to_owned(),
            hook: 2,
            kind: "filter".to_owned(),
            drops_by_policy,
        }
    }

    fn rule(chain: &str, unconditional: Option<Verdict>) -> ListedRule {
        ListedRule {
            chain: chain.to_owned(),
            handle: 1,
            comment: None,
            unconditional,
        }
    }

    #[test]
    fn chain_drops_by_policy_or_by_its_last_rule() {
        let end = rule("FORWARD", Some(Verdict::Drop));
        let condition = rule("FORWARD", None);
        let elsewhere = rule("OTHER", Some(Verdict::Drop));
        assert!(drops(&chain(true), &[]));
        assert!(!drops(&chain(false), &[]));
        assert!(drops(&chain(false), &[condition.clone(), end.clone()]));
        assert!(!drops(&chain(false), &[end, condition]));
        assert!(!drops(&chain(false), &[elsewhere]));
    }

    #[test]
    fn place_is_dockers_chain_only_where_the_chain_goes_through_it() {
        let jump = || Some(Verdict::Jump(DOCKER_USER.to_owned()));
        assert_eq!(place(&chain(true), &[rule("FORWARD", jump())]), DOCKER_USER);
        assert_eq!(place(&chain(true), &[rule("OTHER", jump())]), "FORWARD");
    }
}
