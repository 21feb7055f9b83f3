//! `nf_tables` over netlink: messages, expressions, elements.
//!
//! The numbers are those of `linux/netfilter/nf_tables.h`; all of it is older
//! than Linux 5.8. Registers: 1 is the first of 16 bytes, 8 to 23 are quarters of
//! 4 bytes, so that 1 and 8 begin at the same place.

use std::io;

use crate::net::netlink::attributes::Writer;
use crate::net::netlink::{Connection, NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL, Request};

pub(super) const SUBSYSTEM: u16 = 10 << 8;
const NEWTABLE: u16 = 0;
const GETTABLE: u16 = 1;
const DELTABLE: u16 = 2;
const NEWCHAIN: u16 = 3;
pub(super) const GETCHAIN: u16 = 4;
const NEWRULE: u16 = 6;
pub(super) const GETRULE: u16 = 7;
const DELRULE: u16 = 8;
const NEWSET: u16 = 9;
const NEWSETELEM: u16 = 12;
const GETSETELEM: u16 = 13;
const DELSETELEM: u16 = 14;

const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
/// Length of `struct nfgenmsg`.
pub(super) const FAMILY_HEADER: usize = 4;

const LIST_ELEM: u16 = 1;
const DATA_VALUE: u16 = 1;
pub(super) const DATA_VERDICT: u16 = 2;

/// Messages about which [`super::guard`] cares.
pub(in crate::net) const REMOVALS: [u16; 4] = [
    SUBSYSTEM | DELTABLE,
    SUBSYSTEM | NEWCHAIN,
    SUBSYSTEM | 5,
    SUBSYSTEM | DELRULE,
];

/// Whose packets a table sees (`NFPROTO_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::net) enum Family {
    /// IPv4 and IPv6.
    Inet,
    /// IPv4.
    Ip,
    /// IPv6.
    Ip6,
}

impl Family {
    pub(in crate::net) fn number(self) -> u8 {
        match self {
            Self::Inet => 1,
            Self::Ip => 2,
            Self::Ip6 => 10,
        }
    }

    pub(super) fn of(number: u8) -> Option<Self> {
        [Self::Inet, Self::Ip, Self::Ip6]
            .into_iter()
            .find(|family| family.number() == number)
    }
}

/// Where the kernel calls a base chain (`NF_INET_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::net) enum Hook {
    Prerouting,
    Input,
    Forward,
    Output,
    Postrouting,
}

impl Hook {
    pub(super) fn number(self) -> u32 {
        match self {
            Self::Prerouting => 0,
            Self::Input => 1,
            Self::Forward => 2,
            Self::Output => 3,
            Self::Postrouting => 4,
        }
    }
}

/// What becomes of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::net) enum Verdict {
    Drop,
    Accept,
    Return,
    Jump(String),
}

impl Verdict {
    fn code(&self) -> i32 {
        match self {
            Self::Drop => 0,
            Self::Accept => 1,
            Self::Jump(_) => -3,
            Self::Return => -5,
        }
    }
}

/// One table, as the place of chains, sets and rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::net) struct Table {
    pub(in crate::net) family: Family,
    pub(in crate::net) name: String,
}

impl Table {
    pub(super) fn message(
        &self,
        kind: u16,
        flags: u16,
        rest: impl FnOnce(Writer) -> Writer,
    ) -> Request {
        let header = Writer::after(&[self.family.number(), 0, 0, 0]);
        Request {
            kind: SUBSYSTEM | kind,
            flags,
            // The table's name is attribute 1 of every message.
            body: rest(header.text(1, &self.name)).finish(),
        }
    }

    /// Makes the table, or leaves it as it is.
    pub(in crate::net) fn create(&self) -> Request {
        self.message(NEWTABLE, NLM_F_CREATE, |w| w.number(2, 0))
    }

    /// Makes the table; refused with EEXIST where it exists.
    pub(in crate::net) fn create_new(&self) -> Request {
        self.message(NEWTABLE, NLM_F_CREATE | NLM_F_EXCL, |w| w.number(2, 0))
    }

    /// Asks for the table.
    pub(in crate::net) fn find(&self) -> Request {
        self.message(GETTABLE, 0, |w| w)
    }

    /// Removes the table with all that is in it.
    pub(in crate::net) fn delete(&self) -> Request {
        self.message(DELTABLE, 0, |w| w)
    }

    /// Makes a chain that the kernel calls. Its policy is accept.
    pub(in crate::net) fn base_chain(
        &self,
        name: &str,
        kind: &str,
        hook: Hook,
        priority: i32,
    ) -> Request {
        self.message(NEWCHAIN, NLM_F_CREATE, |w| {
            w.text(3, name)
                .nest(4, |w| w.number(1, hook.number()).signed(2, priority))
                .text(7, kind)
        })
    }

    /// Makes a chain that other chains jump to.
    pub(in crate::net) fn chain(&self, name: &str) -> Request {
        self.message(NEWCHAIN, NLM_F_CREATE, |w| w.text(3, name))
    }

    /// Makes a set, or a map where `data` is given: types and lengths in bytes.
    pub(in crate::net) fn set(
        &self,
        name: &str,
        id: u32,
        key: DataType,
        data: Option<DataType>,
    ) -> Request {
        const FLAG_MAP: u32 = 8;
        self.message(NEWSET, NLM_F_CREATE, |w| {
            let w = w
                .text(2, name)
                .number(3, if data.is_some() { FLAG_MAP } else { 0 })
                .number(4, key.id)
                .number(5, key.length);
            let w = match data {
                Some(data) => w.number(6, data.id).number(7, data.length),
                None => w,
            };
            let w = w.number(10, id);
            // Lets `nft` show names, which it would take for numbers.
            if key.id == DataType::IFNAME.id {
                const KEY_BYTEORDER: [u8; 2] = [0, 4];
                let host = 1_u32.to_ne_bytes();
                return w.bytes(13, &[&KEY_BYTEORDER[..], &host[..]].concat());
            }
            w
        })
    }

    /// Adds elements to a set or map.
    pub(in crate::net) fn add_elements(&self, set: &str, elements: &[Element]) -> Request {
        self.elements(NEWSETELEM, NLM_F_CREATE, set, elements)
    }

    /// Removes elements by their keys.
    pub(in crate::net) fn delete_elements(&self, set: &str, elements: &[Element]) -> Request {
        self.elements(DELSETELEM, 0, set, elements)
    }

    /// Asks for one element.
    pub(in crate::net) fn find_element(&self, set: &str, element: &Element) -> Request {
        self.elements(GETSETELEM, 0, set, std::slice::from_ref(element))
    }

    fn elements(&self, kind: u16, flags: u16, set: &str, elements: &[Element]) -> Request {
        let adds = kind == NEWSETELEM;
        self.message(kind, flags, |w| {
            w.text(2, set).nest(3, |w| {
                elements.iter().fold(w, |w, element| {
                    w.nest(LIST_ELEM, |w| {
                        let w = w.nest(1, |w| w.bytes(DATA_VALUE, &element.key));
                        if !adds {
                            return w;
                        }
                        let w = match &element.data {
                            Some(data) => w.nest(2, |w| w.bytes(DATA_VALUE, data)),
                            None => w,
                        };
                        w.bytes(6, &comment_data(&element.comment))
                    })
                })
            })
        })
    }

    /// Adds a rule at a chain's end.
    pub(in crate::net) fn append_rule(&self, chain: &str, rule: Rule) -> Request {
        self.rule(NLM_F_CREATE | NLM_F_APPEND, chain, rule)
    }

    /// Adds a rule at a chain's head.
    pub(in crate::net) fn insert_rule(&self, chain: &str, rule: Rule) -> Request {
        self.rule(NLM_F_CREATE, chain, rule)
    }

    fn rule(&self, flags: u16, chain: &str, rule: Rule) -> Request {
        self.message(NEWRULE, flags, |w| {
            let w = w.text(2, chain).nest(4, |w| {
                rule.expressions
                    .into_iter()
                    .fold(w, |w, expression| w.bytes(LIST_ELEM | 0x8000, &expression))
            });
            match rule.comment {
                Some(comment) => w.bytes(7, &comment_data(&comment)),
                None => w,
            }
        })
    }

    /// Removes one rule.
    pub(in crate::net) fn delete_rule(&self, chain: &str, handle: u64) -> Request {
        self.message(DELRULE, 0, |w| {
            w.text(2, chain).bytes(3, &handle.to_be_bytes())
        })
    }
}

/// A comment as `nft` stores it: type 0, length, text with its zero.
fn comment_data(comment: &str) -> Vec<u8> {
    let mut data = vec![0, u8::try_from(comment.len() + 1).unwrap_or(u8::MAX)];
    data.extend(comment.as_bytes());
    data.push(0);
    data
}

/// A type of keys or data: the number that `nft` shows it by, bytes.
#[derive(Debug, Clone, Copy)]
pub(in crate::net) struct DataType {
    id: u32,
    length: u32,
}

impl DataType {
    const fn new(id: u32, length: u32) -> Self {
        Self { id, length }
    }

    /// A link's name.
    pub(in crate::net) const IFNAME: Self = Self::new(41, 16);
    pub(in crate::net) const IPV4: Self = Self::new(7, 4);
    pub(in crate::net) const IPV6: Self = Self::new(8, 16);
    /// Transport protocol.
    pub(in crate::net) const PROTOCOL: Self = Self::new(12, 4);
    /// Port.
    pub(in crate::net) const PORT: Self = Self::new(13, 4);

    /// This, then another.
    pub(in crate::net) const fn then(self, next: Self) -> Self {
        Self::new(self.id << 6 | next.id, self.length + next.length)
    }
}

/// An element of a set, or of a map where it has data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::net) struct Element {
    pub(in crate::net) key: Vec<u8>,
    pub(in crate::net) data: Option<Vec<u8>>,
    /// Whose it is: the id of a network or container.
    pub(in crate::net) comment: String,
}

/// A rule in the making: expressions one after the other.
#[derive(Debug, Clone, Default)]
pub(in crate::net) struct Rule {
    expressions: Vec<Vec<u8>>,
    comment: Option<String>,
}

/// What `meta` can load.
#[derive(Debug, Clone, Copy)]
pub(in crate::net) enum Meta {
    InputName,
    OutputName,
    NetworkProtocol,
    TransportProtocol,
}

/// What `ct` can load.
#[derive(Debug, Clone, Copy)]
pub(in crate::net) enum Tracked {
    State,
    Status,
}

/// `ct state established,related`.
pub(in crate::net) const STATE_KNOWN: u32 = 2 | 4;
/// `ct status dnat`.
pub(in crate::net) const STATUS_DNAT: u32 = 1 << 5;

impl Rule {
    fn expression(mut self, name: &str, data: impl FnOnce(Writer) -> Writer) -> Self {
        self.expressions
            .push(Writer::default().text(1, name).nest(2, data).finish());
        self
    }

    /// A text that lists show.
    pub(in crate::net) fn comment(mut self, comment: &str) -> Self {
        self.comment = Some(comment.to_owned());
        self
    }

    pub(in crate::net) fn load_meta(self, key: Meta, register: u32) -> Self {
        let key = match key {
            Meta::InputName => 6,
            Meta::OutputName => 7,
            Meta::NetworkProtocol => 15,
            Meta::TransportProtocol => 16,
        };
        self.expression("meta", |w| w.number(2, key).number(1, register))
    }

    /// Loads bytes of the network header.
    pub(in crate::net) fn load_network(self, offset: u32, length: u32, register: u32) -> Self {
        self.load_payload((1, offset, length), register)
    }

    /// Loads the destination port.
    pub(in crate::net) fn load_port(self, register: u32) -> Self {
        self.load_payload((2, 2, 2), register)
    }

    fn load_payload(self, (base, offset, length): (u32, u32, u32), register: u32) -> Self {
        self.expression("payload", |w| {
            w.number(1, register)
                .number(2, base)
                .number(3, offset)
                .number(4, length)
        })
    }

    /// Goes on where register 1 begins with these bytes.
    pub(in crate::net) fn equals(self, value: &[u8]) -> Self {
        self.compare(0, value)
    }

    fn compare(self, operation: u32, value: &[u8]) -> Self {
        self.expression("cmp", |w| {
            w.number(1, 1)
                .number(2, operation)
                .nest(3, |w| w.bytes(DATA_VALUE, value))
        })
    }

    /// Goes on with packets of this family.
    pub(in crate::net) fn family(self, family: Family) -> Self {
        self.load_meta(Meta::NetworkProtocol, 1)
            .equals(&[family.number()])
    }

    /// Goes on where one of these bits is set.
    pub(in crate::net) fn tracked(self, key: Tracked, bits: u32) -> Self {
        let key = match key {
            Tracked::State => 0,
            Tracked::Status => 2,
        };
        self.expression("ct", |w| w.number(2, key).number(1, 1))
            .expression("bitwise", |w| {
                w.number(1, 1)
                    .number(2, 1)
                    .number(3, 4)
                    .nest(4, |w| w.bytes(DATA_VALUE, &bits.to_ne_bytes()))
                    .nest(5, |w| w.bytes(DATA_VALUE, &[0; 4]))
            })
            .compare(1, &[0; 4])
    }

    /// Goes on where the destination is an address of this host.
    pub(in crate::net) fn destination_is_local(self) -> Self {
        const DADDR: u32 = 2;
        const ADDRTYPE: u32 = 3;
        const LOCAL: u32 = 2;
        self.expression("fib", |w| {
            w.number(3, DADDR).number(2, ADDRTYPE).number(1, 1)
        })
        .equals(&LOCAL.to_ne_bytes())
    }

    /// Goes on where the set has what register 1 begins with.
    pub(in crate::net) fn in_set(self, set: &str) -> Self {
        self.expression("lookup", |w| w.text(1, set).number(2, 1))
    }

    /// Goes on where the map has it, with the data in register 1 and on.
    pub(in crate::net) fn in_map(self, map: &str) -> Self {
        self.expression("lookup", |w| w.text(1, map).number(2, 1).number(3, 1))
    }

    /// `iifname @set`.
    pub(in crate::net) fn input_in(self, set: &str) -> Self {
        self.load_meta(Meta::InputName, 1).in_set(set)
    }

    /// `oifname @set`.
    pub(in crate::net) fn output_in(self, set: &str) -> Self {
        self.load_meta(Meta::OutputName, 1).in_set(set)
    }

    /// A constant into a register.
    pub(in crate::net) fn constant(self, value: &[u8], register: u32) -> Self {
        self.expression("immediate", |w| {
            w.number(1, register)
                .nest(2, |w| w.bytes(DATA_VALUE, value))
        })
    }

    /// Rewrites the destination: address from register 1, port from another.
    pub(in crate::net) fn destination_nat(self, family: Family, port_register: u32) -> Self {
        const DNAT: u32 = 1;
        self.expression("nat", |w| {
            w.number(1, DNAT)
                .number(2, u32::from(family.number()))
                .number(3, 1)
                .number(5, port_register)
        })
    }

    /// Rewrites the source to the address of the link that the packet leaves by.
    pub(in crate::net) fn masquerade(self) -> Self {
        self.expression("masq", |w| w)
    }

    pub(in crate::net) fn count(self) -> Self {
        self.expression("counter", |w| w.bytes(1, &[0; 8]).bytes(2, &[0; 8]))
    }

    pub(in crate::net) fn verdict(self, verdict: &Verdict) -> Self {
        self.expression("immediate", |w| {
            w.number(1, 0).nest(2, |w| {
                w.nest(DATA_VERDICT, |w| {
                    let w = w.signed(1, verdict.code());
                    match verdict {
                        Verdict::Jump(chain) => w.text(2, chain),
                        Verdict::Drop | Verdict::Accept | Verdict::Return => w,
                    }
                })
            })
        })
    }
}

/// Carries out all requests or none.
pub(in crate::net) fn transact(
    connection: &mut Connection,
    requests: &[Request],
) -> io::Result<()> {
    let frame = |kind| Request {
        kind,
        flags: 0,
        // Family none, version 0, the subsystem in network byte order.
        body: vec![0, 0, 0, 10],
    };
    connection.transact(&frame(BATCH_BEGIN), requests, &frame(BATCH_END))
}

/// Tries every kind of set and expression that skiff uses, in a namespace that
/// the caller throws away.
pub(in crate::net) fn probe() -> io::Result<()> {
    let mut connection = Connection::open(crate::net::netlink::NETLINK_NETFILTER)?;
    let table = Table {
        family: Family::Inet,
        name: "skiff-probe".to_owned(),
    };
    transact(&mut connection, &super::ruleset::whole(&table, &[]))
}
