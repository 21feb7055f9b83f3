//! The firewall: one `nf_tables` table of ours, written over netlink.
//!
//! [`ruleset`] says what is in it, [`nft`] how that is told to the kernel.
//! Several processes change the table; each adds and removes elements of its
//! own, under one lock and after the records. Where the table is not as it
//! should be, it is written anew from the records, in one transaction.
//! [`foreign`] deals with the tables of others.

pub(super) mod conntrack;
mod foreign;
pub(super) mod guard;
mod listing;
pub(super) mod nft;
pub(super) mod publish;
mod ruleset;

use std::io;

use self::nft::{Family, Table};
use self::ruleset::{BridgeRules, Entry, Set};
use super::error::NetError;
use super::handle::Net;
use super::netlink::Connection;
use super::network::{OPT_MASQUERADE, option_on};
use super::probe;
use super::spec::NetworkRecord;
use crate::state::lock::Lock;

/// The firewall with its lock held; lives in the bridges' namespace.
#[derive(Debug)]
pub(super) struct Firewall<'a> {
    net: &'a Net,
    table: Table,
    connection: &'a mut Connection,
    _lock: Lock,
}

impl<'a> Firewall<'a> {
    /// Waits for the lock and works under it.
    fn locked<T>(
        net: &'a Net,
        work: impl FnOnce(&mut Firewall<'_>) -> Result<T, NetError>,
    ) -> Result<T, NetError> {
        let lock = net.records.lock_firewall()?;
        net.with_firewall(|connection| {
            work(&mut Firewall {
                net,
                table: Table {
                    family: Family::Inet,
                    name: net.root.table(),
                },
                connection,
                _lock: lock,
            })
        })?
    }

    /// Adds elements; writes the table anew where that is refused, because
    /// somebody removed it or something stale is in the way.
    fn add(&mut self, entries: &[Entry]) -> Result<(), NetError> {
        let requests: Vec<_> = ruleset::grouped(entries)
            .map(|(set, elements)| self.table.add_elements(set.name(), &elements))
            .collect();
        if nft::transact(self.connection, &requests).is_ok() {
            return Ok(());
        }
        self.rebuild()
    }

    /// Removes elements; writes the table anew where one is missing.
    fn delete(&mut self, entries: &[Entry]) -> Result<(), NetError> {
        let requests: Vec<_> = ruleset::grouped(entries)
            .map(|(set, elements)| self.table.delete_elements(set.name(), &elements))
            .collect();
        if nft::transact(self.connection, &requests).is_ok() {
            return Ok(());
        }
        self.rebuild()
    }

    /// Writes the whole table from the records; removes it where there is no
    /// network.
    fn rebuild(&mut self) -> Result<(), NetError> {
        let networks = self.net.records.networks()?;
        let requests = if networks.is_empty() {
            vec![self.table.create(), self.table.delete()]
        } else {
            let mut entries: Vec<Entry> = networks
                .iter()
                .flat_map(|record| network_entries(self.net, record))
                .collect();
            for published in self.net.records.all_published()? {
                entries.extend(ruleset::port_entries(&published));
            }
            // Of two claims to one port, which only a crash can leave, the
            // first is as good as the other; both would refuse the whole table.
            let mut seen = std::collections::HashSet::new();
            entries.retain(|(set, element)| seen.insert((*set, element.key.clone())));
            ruleset::whole(&self.table, &entries)
        };
        nft::transact(self.connection, &requests)
            .map_err(|error| failed("write the firewall table", &self.table.name)(error))
    }

    fn exists(&mut self) -> Result<bool, NetError> {
        self.connection
            .query(&self.table.find())
            .map(|found| found.is_some())
            .map_err(failed("look for the firewall table", &self.table.name))
    }

    /// True where the table has all its rules.
    fn is_whole(&mut self) -> Result<bool, NetError> {
        let rules = listing::rules(self.connection, &self.table)
            .map_err(failed("list the firewall table", &self.table.name))?;
        Ok(rules.len() == ruleset::rule_count())
    }

    fn has_bridge(&mut self, entries: &[Entry]) -> Result<bool, NetError> {
        let Some((set, element)) = entries.iter().find(|(set, _)| *set == Set::Bridges) else {
            return Ok(false);
        };
        listing::has_element(self.connection, &self.table, set.name(), element)
            .map_err(failed("read the firewall table", &self.table.name))
    }
}

impl Net {
    /// Puts a network's bridge into the firewall, where it is not in it, and
    /// into other people's that would drop its packets. Runs in the bridges'
    /// namespace, after the record was written.
    pub(super) fn admit_network(&self, record: &NetworkRecord) -> Result<Vec<String>, NetError> {
        Firewall::locked(self, |firewall| {
            let entries = network_entries(self, record);
            if !firewall.exists()? {
                // Not tried: a refused transaction costs the kernel 10 ms and more.
                firewall.rebuild()?;
            } else if !firewall.has_bridge(&entries)? {
                firewall.add(&entries)?;
            }
            firewall.admit_to_foreign()
        })
    }

    /// Takes a network's bridge out again. Runs in the bridges' namespace,
    /// after the record was removed.
    pub(super) fn dismiss_network(&self, record: &NetworkRecord) -> Result<(), NetError> {
        Firewall::locked(self, |firewall| {
            if self.records.networks()?.is_empty() {
                firewall.rebuild()?;
                return firewall.leave_foreign();
            }
            firewall.delete(&network_entries(self, record))
        })
    }

    /// Puts the firewall right: our table whole, our bridges admitted by
    /// others' chains, published ports rewritten or left to their proxies as
    /// other people's filters want it. Changes nothing where it is.
    ///
    /// # Errors
    /// A kernel that refuses.
    pub fn repair(&self) -> Result<(), NetError> {
        let repair = |firewall: &mut Firewall<'_>| {
            if self.records.networks()?.is_empty() {
                return Ok(());
            }
            let changed = firewall.obey_input_filter()?;
            if changed || !firewall.is_whole()? {
                firewall.rebuild()?;
            }
            firewall.admit_to_foreign().map(|_notes| ())
        };
        self.in_bridge_netns(|| Firewall::locked(self, repair))
    }

    /// Writes the table from the records, whatever it is now.
    pub(super) fn rebuild_firewall(&self) -> Result<(), NetError> {
        let rebuild = |firewall: &mut Firewall<'_>| firewall.rebuild();
        self.in_bridge_netns(|| Firewall::locked(self, rebuild))
    }
}

fn network_entries(net: &Net, record: &NetworkRecord) -> Vec<Entry> {
    BridgeRules {
        network: &record.id,
        bridge: &net.bridge_name(record),
        internal: record.spec.internal,
        masquerade: option_on(&record.spec, OPT_MASQUERADE),
    }
    .entries()
}

/// A refused request; a kernel without `nf_tables` is an error of its own.
fn failed(action: &'static str, object: &str) -> impl FnOnce(io::Error) -> NetError {
    let object = object.to_owned();
    move |source| match source.raw_os_error() {
        Some(libc::EOPNOTSUPP | libc::EPROTONOSUPPORT | libc::ENOENT) => NetError::Missing {
            feature: probe::NF_TABLES,
            remedy: probe::NF_TABLES_REMEDY,
        },
        _ => NetError::Kernel {
            action,
            object,
            source,
        },
    }
}
