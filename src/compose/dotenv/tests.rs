use super::*;

fn outside(name: &str) -> Option<String> {
    (name == "OUT").then(|| "outer".to_owned())
}

fn read(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut variables = IndexMap::new();
    parse(text, &mut variables, &outside).map_err(|errors| {
        let lines = errors.iter();
        let lines: Vec<String> = lines
            .map(|error| format!("{}: {}", error.line, error.message))
            .collect();
        lines.join("; ")
    })?;
    Ok(variables.into_iter().collect())
}

#[test]
fn values_are_read() {
    for (text, value) in [
        ("A=b", "b"),
        ("A= b c  # note", "b c"),
        ("A=b#c", "b#c"),
        ("export A=b", "b"),
        ("A: b", "b"),
        ("A=", ""),
        ("A='x $OUT \\n'", "x $OUT \\n"),
        ("A=\"x $OUT\\n\"", "x outer\n"),
        ("A=\"\\$OUT $$OUT\"", "$OUT $OUT"),
        ("A=\"a\nb\"", "a\nb"),
        ("A='it\\'s'", "it's"),
        ("A=\"\\0101\"", "A"),
        ("A=${NONE:-d}", "d"),
        ("\u{feff}A=b", "b"),
        ("A=b\r\n", "b"),
    ] {
        let pairs = read(text).unwrap();
        assert_eq!(pairs, [("A".to_owned(), value.to_owned())], "{text:?}");
    }
}

#[test]
fn lines_are_those_of_the_names() {
    let text = "A=1\n\nexport B=\"x\ny\"\nOUT\nA=2\n";
    let read = |parsed: Parsed| -> Vec<_> {
        let all = parsed.settings.into_iter();
        all.map(|one| format!("{}: {}={}", one.line, one.name, one.value))
            .collect()
    };
    let parsed = parse(text, &mut IndexMap::new(), &outside).unwrap();
    assert_eq!(
        read(parsed),
        ["1: A=1", "3: B=x\ny", "5: OUT=outer", "6: A=2"]
    );
    let parsed = parse_raw("#\nA=1\n", &mut IndexMap::new(), &outside).unwrap();
    assert_eq!(read(parsed), ["2: A=1"]);
}

#[test]
fn names_alone_come_from_outside() {
    let pairs = read("OUT\nNONE\nB=$OUT\n").unwrap();
    let expected =
        [("OUT", "outer"), ("B", "outer")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(pairs, expected);
}

#[test]
fn a_name_alone_without_a_line_end_is_the_value_of_none() {
    for (text, value) in [
        ("A=1\nOUT", "OUT"),
        ("=y\nexport OUT ", "OUT"),
        ("A B", "A B"),
        ("\tA\r", "A"),
    ] {
        let mut variables = IndexMap::new();
        let parsed = parse(text, &mut variables, &outside).unwrap();
        assert_eq!(variables.get("").map(String::as_str), Some(value), "{text}");
        let unended = parsed.unended.map(|(_, name)| name);
        assert_eq!(unended.as_deref(), Some(value), "{text}");
    }
    for text in ["OUT\n", "OUT\n# x", "A=1", "export "] {
        let parsed = parse(text, &mut IndexMap::new(), &outside).unwrap();
        assert_eq!(parsed.unended, None, "{text}");
    }
}

#[test]
fn wrong_lines_are_refused_with_their_number() {
    for (text, error) in [
        ("A=1\n\nB C=2", "3: the name `B C` has a space in it"),
        ("# c\n%=1", "2: `%` cannot be in a name: `%=1`"),
        ("A=\"open\nB=1", "1: the quote of `\"open` is not closed"),
        (
            "%=1\nB C=\"x\ny\"\nA=${B?} $C ${D?d}\nE F\n",
            "1: `%` cannot be in a name: `%=1`; 2: the name `B C` has a space in it; \
             4: the required variable `B` is missing a value; \
             4: the required variable `D` is missing a value: d; \
             5: the name `E F` has a space in it",
        ),
    ] {
        assert_eq!(read(text).unwrap_err(), error);
    }
}

#[test]
fn more_settings_than_anybody_has_are_refused() {
    type Read =
        fn(&str, &mut IndexMap<String, String>, &Lookup<'_>) -> Result<Parsed, Vec<DotenvError>>;
    let text = |count: usize| -> String { (0..count).map(|n| format!("A{n}=x\n")).collect() };
    let (most, more) = (text(MOST_SETTINGS), text(MOST_SETTINGS + 1));
    for read in [parse as Read, parse_raw as Read] {
        assert!(read(&most, &mut IndexMap::new(), &outside).is_ok());
        let errors = read(&more, &mut IndexMap::new(), &outside).unwrap_err();
        assert_eq!(errors.len(), 1);
        assert_eq!(errors[0].line, 200_001);
    }
}

#[test]
fn raw_files_are_taken_as_they_stand() {
    let mut variables = IndexMap::new();
    parse_raw("A=\"b\" # c\n#x\nOUT\n", &mut variables, &outside).unwrap();
    assert_eq!(variables.get("A").map(String::as_str), Some("\"b\" # c"));
    assert_eq!(variables.get("OUT").map(String::as_str), Some("outer"));
    let errors = parse_raw("A B=1\nC=2\n=3", &mut variables, &outside).unwrap_err();
    let lines: Vec<u32> = errors.iter().map(|error| error.line).collect();
    assert_eq!(lines, [1, 3]);
}
