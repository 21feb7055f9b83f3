//! Answers from the table of names: pure but for the table.
//!
//! As Docker's resolver answers: TTL 600, recursion available, not
//! authoritative; a known name without an address of the wanted family is
//! "no error" and empty, so that a client does not take the name for
//! non-existent.

use std::io;
use std::net::IpAddr;

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, PTR};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

use super::table::{Found, NameTable};
use crate::state::ContainerId;

/// Seconds that a client may keep an answer; Docker's.
const TTL: u32 = 600;
/// What a client without EDNS takes over UDP (RFC 1035).
const UDP_LIMIT: u16 = 512;

/// What becomes of a question.
#[derive(Debug)]
pub(super) enum Reply {
    /// This message.
    Answer(Message),
    /// The host's resolvers know.
    Forward,
}

/// Answers a container's question, or says who does.
pub(super) fn reply(
    question: &Message,
    names: &NameTable,
    container: &ContainerId,
) -> io::Result<Reply> {
    let [query] = question.queries.as_slice() else {
        return Ok(Reply::Answer(refusal(question, ResponseCode::FormErr)));
    };
    if question.metadata.op_code != OpCode::Query || query.query_class() != DNSClass::IN {
        return forward(question, names, container);
    }
    let answers = if query.query_type() == RecordType::PTR {
        pointer(query, names, container)?
    } else {
        by_name(query, names, container)?
    };
    match answers {
        Some(answers) => {
            let mut answer = refusal(question, ResponseCode::NoError);
            answer.insert_answers(answers);
            Ok(Reply::Answer(answer))
        }
        None => forward(question, names, container),
    }
}

/// A container without a way out is answered as Docker does: "server failure",
/// so that a resolver library does not take the name for non-existent.
fn forward(question: &Message, names: &NameTable, container: &ContainerId) -> io::Result<Reply> {
    if names.reaches_out(container)? {
        return Ok(Reply::Forward);
    }
    Ok(Reply::Answer(refusal(question, ResponseCode::ServFail)))
}

/// A response without records.
pub(super) fn refusal(question: &Message, code: ResponseCode) -> Message {
    let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
    answer.metadata.message_type = MessageType::Response;
    answer.metadata.recursion_desired = question.metadata.recursion_desired;
    answer.metadata.recursion_available = true;
    answer.metadata.response_code = code;
    answer.add_queries(question.queries.iter().cloned());
    if question.edns.is_some() {
        answer.edns = Some(hickory_proto::op::Edns::new());
    }
    answer
}

/// A message's bytes for UDP: what does not fit is left out, and marked so that
/// the client asks again over TCP.
pub(super) fn encode_udp(mut answer: Message, question: &Message) -> Option<Vec<u8>> {
    let limit = usize::from(question.max_payload().max(UDP_LIMIT));
    loop {
        let bytes = answer.to_vec().ok()?;
        if bytes.len() <= limit || answer.answers.pop().is_none() {
            return Some(bytes);
        }
        answer.metadata.truncation = true;
    }
}

fn by_name(
    query: &Query,
    names: &NameTable,
    container: &ContainerId,
) -> io::Result<Option<Vec<Record>>> {
    let text = query.name().to_utf8();
    let found = names.addresses(container, text.trim_end_matches('.'))?;
    let Found::Addresses(addresses) = found else {
        return Ok(None);
    };
    let kind = query.query_type();
    let wanted = |address: &IpAddr| {
        let own = if address.is_ipv4() {
            RecordType::A
        } else {
            RecordType::AAAA
        };
        kind == own || kind == RecordType::ANY
    };
    let data = addresses
        .into_iter()
        .filter(wanted)
        .map(|address| match address {
            IpAddr::V4(v4) => RData::A(A(v4)),
            IpAddr::V6(v6) => RData::AAAA(AAAA(v6)),
        });
    Ok(Some(
        data.map(|data| Record::from_rdata(query.name().clone(), TTL, data))
            .collect(),
    ))
}

fn pointer(
    query: &Query,
    names: &NameTable,
    container: &ContainerId,
) -> io::Result<Option<Vec<Record>>> {
    let Some(address) = reverse_address(query.name()) else {
        return Ok(None);
    };
    let Some(name) = names.name(container, address)? else {
        return Ok(None);
    };
    // A network's name may hold what host names may not; that is no reason
    // to fail.
    let Ok(name) = Name::from_labels(name.split('.').map(str::as_bytes)) else {
        return Ok(None);
    };
    let data = RData::PTR(PTR(name));
    Ok(Some(vec![Record::from_rdata(
        query.name().clone(),
        TTL,
        data,
    )]))
}

/// The address of `4.3.2.1.in-addr.arpa` and its IPv6 likeness.
fn reverse_address(name: &Name) -> Option<IpAddr> {
    let network = name.parse_arpa_name().ok()?;
    let address = network.addr();
    let full = if address.is_ipv4() { 32 } else { 128 };
    (network.prefix_len() == full).then_some(address)
}
