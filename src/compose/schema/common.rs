//! Shapes that many attributes share. Facts of the Compose specification.

use super::shape::{Names, Object, Shape, Type};

pub(super) const BOOL: &Shape = &Shape::Is(&[Type::Bool]);
pub(super) const BOOL_OR_NUMBER_OR_TEXT: &Shape =
    &Shape::Is(&[Type::Bool, Type::Number, Type::Str]);
pub(super) const BOOL_OR_TEXT: &Shape = &Shape::Is(&[Type::Bool, Type::Str]);
pub(super) const INTEGER: &Shape = &Shape::Is(&[Type::Integer]);
pub(super) const INTEGER_OR_TEXT: &Shape = &Shape::Is(&[Type::Integer, Type::Str]);
pub(super) const NULL: &Shape = &Shape::Is(&[Type::Null]);
pub(super) const NULL_OR_BOOL_OR_NUMBER_OR_TEXT: &Shape =
    &Shape::Is(&[Type::Null, Type::Bool, Type::Number, Type::Str]);
pub(super) const NULL_OR_NUMBER_OR_TEXT: &Shape =
    &Shape::Is(&[Type::Null, Type::Number, Type::Str]);
pub(super) const NULL_OR_TEXT: &Shape = &Shape::Is(&[Type::Null, Type::Str]);
pub(super) const NUMBER: &Shape = &Shape::Is(&[Type::Number]);
pub(super) const NUMBER_OR_TEXT: &Shape = &Shape::Is(&[Type::Number, Type::Str]);
pub(super) const TEXT: &Shape = &Shape::Is(&[Type::Str]);
pub(super) const COMMAND: &Shape = &Shape::Either(&[NULL, TEXT, &Shape::List(TEXT)]);
pub(super) const TEXT_OR_LIST: &Shape = &Shape::Either(&[TEXT, &Shape::List(TEXT)]);
pub(super) const STRING_OR_LIST: &Shape = &Shape::Either(&[TEXT, LIST_OF_STRINGS]);
pub(super) const LIST_OF_STRINGS: &Shape = &Shape::Set(TEXT);
pub(super) const LIST_OR_DICT: &Shape = &Shape::Either(&[
    &Shape::Map(Names::Any, NULL_OR_BOOL_OR_NUMBER_OR_TEXT),
    &Shape::Set(TEXT),
]);
pub(super) const EXTRA_HOSTS: &Shape = &Shape::Either(&[
    &Shape::Map(Names::Any, &Shape::Either(&[TEXT, &Shape::List(TEXT)])),
    &Shape::Set(TEXT),
]);
pub(super) const FILE_MOUNT: &Shape = &Shape::Object(&Object {
    attributes: &[
        ("gid", TEXT),
        ("mode", NUMBER_OR_TEXT),
        ("source", TEXT),
        ("target", TEXT),
        ("uid", TEXT),
    ],
    required: &[],
    extensions: true,
    open: false,
});
pub(super) const FILE_MOUNTS: &Shape = &Shape::List(&Shape::Either(&[TEXT, FILE_MOUNT]));
pub(super) const ULIMIT_PAIR: &Shape = &Shape::Object(&Object {
    attributes: &[("hard", INTEGER_OR_TEXT), ("soft", INTEGER_OR_TEXT)],
    required: &["soft", "hard"],
    extensions: true,
    open: false,
});
pub(super) const ULIMITS: &Shape = &Shape::Map(
    Names::LettersOrUnseen,
    &Shape::Either(&[INTEGER_OR_TEXT, ULIMIT_PAIR]),
);
pub(super) const EXTERNAL: &Shape = &Shape::Object(&Object {
    attributes: &[("name", TEXT)],
    required: &[],
    extensions: true,
    open: false,
});
pub(super) const EXTERNAL_OPEN: &Shape = &Shape::Object(&Object {
    attributes: &[("name", TEXT)],
    required: &[],
    extensions: false,
    open: true,
});
pub(super) const SERVICE_HOOK: &Shape = &Shape::Object(&Object {
    attributes: &[
        ("command", COMMAND),
        ("environment", LIST_OR_DICT),
        ("privileged", BOOL_OR_TEXT),
        ("user", TEXT),
        ("working_dir", TEXT),
    ],
    required: &["command"],
    extensions: true,
    open: false,
});
