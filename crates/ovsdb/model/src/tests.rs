use super::*;
use proptest::prelude::*;
use serde_json::json;

fn ty(json: Json) -> Type {
    Type::from_json(&json).unwrap()
}

#[test]
fn numbers_are_read_and_printed_as_c_does() {
    use number::{Num, classify, real_text};
    let read = |text: &str| match serde_json::from_str::<Json>(text).unwrap() {
        Json::Number(n) => classify(&n).unwrap(),
        _ => panic!("not a number"),
    };
    assert_eq!(read("1.0"), Num::Integer(1));
    assert_eq!(read("15e-1"), Num::Real(1.5));
    assert_eq!(read("1e3"), Num::Integer(1000));
    for (value, text) in [
        (0.1, "0.1"),
        (1e21, "1e+21"),
        (1.5e-7, "1.5e-07"),
        (123456789012345.0, "123456789012345"),
        (-2.5, "-2.5"),
        (1.0 / 3.0, "0.333333333333333"),
    ] {
        assert_eq!(real_text(value), text);
    }
}

#[test]
fn types_keep_their_constraints() {
    for text in [
        r#""integer""#,
        r#"{"key":{"type":"string","enum":["set",["a","b"]]},"min":0}"#,
        r#"{"key":"string","value":{"type":"integer","minInteger":1,"maxInteger":9},"min":0,"max":"unlimited"}"#,
        r#"{"key":{"type":"uuid","refTable":"T","refType":"weak"},"max":5}"#,
        r#"{"key":{"type":"string","maxLength":3}}"#,
    ] {
        let json: Json = serde_json::from_str(text).unwrap();
        assert_eq!(json::sorted(&ty(json.clone()).to_json()), json::sorted(&json));
    }
    let bad = Type::from_json(&json!({"key": "integer", "min": 2})).unwrap_err();
    assert_eq!(
        bad.to_string(),
        r#"syntax "{"key":"integer","min":2}": syntax error: ovsdb type fails constraint checks"#
    );
}

#[test]
fn values_out_of_bounds_are_refused_in_the_reference_s_words() {
    let say =
        |r#type: Json, value: Json| Datum::from_json(&value, &ty(r#type), None).unwrap_err().to_string();
    let ranged = json!({"key": {"type": "integer", "minInteger": 1, "maxInteger": 9}});
    assert_eq!(
        say(ranged, json!(10)),
        "constraint violation: 10 is not in the valid range 1 to 9 (inclusive)"
    );
    let listed = json!({"key": {"type": "string", "enum": ["set", ["x", "y"]]}});
    assert_eq!(say(listed, json!("z")), "constraint violation: z is not one of the allowed values ([x, y])");
    let short = json!({"key": {"type": "string", "maxLength": 2}});
    assert_eq!(
        say(short, json!("abc")),
        "constraint violation: \"abc\" length 3 is greater than maximum allowed length 2"
    );
    assert_eq!(say(json!("integer"), json!("a")), "syntax \"\"a\"\": syntax error: expected integer");
    let map = json!({"key": "string", "value": "string"});
    assert_eq!(
        say(map, json!(["map", []])),
        "syntax \"[\"map\",[]]\": syntax error: map must have exactly one member but 0 are present"
    );
    let set = json!({"key": "integer", "min": 0, "max": 3});
    assert_eq!(say(set, json!(["set", [1, 1]])), "ovsdb error: set contains duplicate");
}

#[test]
fn text_is_read_and_printed_as_at_the_command_line() {
    let strings = ty(json!({"key": "string", "min": 0, "max": "unlimited"}));
    let map = ty(json!({"key": "string", "value": "integer", "min": 0, "max": "unlimited"}));
    let integers = ty(json!({"key": "integer", "min": 0, "max": 10}));
    for (r#type, text, printed) in [
        (&strings, "b, \"a b\",true1", "[\"a b\", b, true1]"),
        (&strings, "[]", "[]"),
        (&map, "b=2 a = 1", "{a=1, b=2}"),
        (&map, "{x=-3}", "{x=-3}"),
        (&integers, "3-5,1", "[1, 3, 4, 5]"),
    ] {
        assert_eq!(Datum::from_text(text, r#type, None).unwrap().to_text(r#type), printed);
    }
    for (r#type, text, error) in [
        (&map, "a", "a: syntax error at \"\0\" expecting \"=\""),
        (&strings, "[a", "[a: missing \"]\" at end of data"),
        (&strings, "a,a", "a,a: set contains duplicate value"),
        (&integers, "x", "\"x\" is not a valid integer or range"),
        (&integers, "", "use \"[]\" to specify the empty set"),
        (&integers, ",1", ",1: unexpected \",\" parsing set of up to 10 integers"),
    ] {
        assert_eq!(Datum::from_text(text, r#type, None).unwrap_err(), error);
    }
}

fn table() -> TableSchema {
    let columns = json!({
        "n": {"type": "integer"},
        "set": {"type": {"key": "integer", "min": 0, "max": "unlimited"}},
        "map": {"type": {"key": "string", "value": "string", "min": 0, "max": "unlimited"}},
        "fixed": {"type": "string", "mutable": false}
    });
    TableSchema::from_json(&json!({"columns": columns, "indexes": [["n"]]}), "T").unwrap()
}

#[test]
fn conditions_ask_and_mutations_change() {
    let table = table();
    let row = [
        Datum::Empty,
        Datum::Empty,
        Datum::from(5),
        Datum::set([1, 2].map(Atom::from)),
        Datum::map([(Atom::from("k"), Atom::from("v"))]),
        Datum::from("x"),
    ];
    for (clause, expected) in [
        (json!(["n", ">", 4]), true),
        (json!(["set", "includes", 2]), true),
        (json!(["set", "excludes", ["set", [2, 9]]]), false),
        (json!(["map", "includes", ["map", [["k", "w"]]]]), false),
        (json!(["set", "!=", ["set", [1, 2]]]), false),
    ] {
        let condition = Condition::from_json(std::slice::from_ref(&clause), &table, None).unwrap();
        assert_eq!(condition.matches_all(|c| row.get(c)), expected, "{clause}");
    }
    let error = Clause::from_json(&json!(["set", "<", 1]), &table, None).unwrap_err();
    assert_eq!(
        error.details.unwrap(),
        "Type mismatch: \"<\" operator may not be applied to column set of type set of integers."
    );

    let mutate = |json: Json| {
        let mutation = Mutation::from_json(&json, &table, None)?;
        let mut value = row[mutation.column].clone();
        mutation.apply(&mut value, &table.columns[mutation.column].r#type)?;
        Ok::<Datum, Error>(value)
    };
    assert_eq!(mutate(json!(["n", "*=", 3])).unwrap(), Datum::from(15));
    assert_eq!(
        mutate(json!(["set", "insert", ["set", [0, 2, 7]]])).unwrap(),
        Datum::set([0, 1, 2, 7].map(Atom::from))
    );
    assert_eq!(mutate(json!(["map", "delete", "k"])).unwrap(), Datum::Empty);
    assert_eq!(mutate(json!(["n", "/=", 0])).unwrap_err().to_string(), "domain error: Division by zero.");
    assert!(
        mutate(json!(["fixed", "insert", "a"]))
            .unwrap_err()
            .to_string()
            .contains("Cannot mutate immutable column fixed")
    );
}

#[test]
fn schemas_survive_json() {
    let json = json!({
        "name": "D", "version": "1.2.3",
        "tables": {"T": table().to_json(false)}
    });
    let schema = Schema::from_json(&json).unwrap();
    assert_eq!(json::sorted(&schema.to_json()), json::sorted(&json));
    let undefined = json!({"name": "D", "tables": {"T": {"columns": {"r": {"type": {"key": {"type": "uuid", "refTable": "X"}}}}}}});
    assert_eq!(
        Schema::from_json(&undefined).unwrap_err().to_string(),
        "syntax error: column r key refers to undefined table X"
    );
}

fn atoms() -> impl Strategy<Value = Vec<i64>> {
    proptest::collection::vec(-20i64..20, 0..12)
}

proptest! {
    #[test]
    fn sets_follow_the_rules_of_sets(a in atoms(), b in atoms()) {
        use std::collections::BTreeSet;
        let integers = ty(json!({"key": "integer", "min": 0, "max": "unlimited"}));
        let datum = |v: &[i64]| Datum::set(v.iter().map(|i| Atom::from(*i)));
        let set = |v: &[i64]| v.iter().copied().collect::<BTreeSet<_>>();
        let back = |d: &Datum| d.atoms().iter().filter_map(Atom::as_integer).collect::<BTreeSet<_>>();
        let (old, new) = (datum(&a), datum(&b));
        let mut union = old.clone();
        union.insert_all(&new);
        prop_assert_eq!(back(&union), set(&a).union(&set(&b)).copied().collect());
        let mut rest = old.clone();
        rest.remove_all(&new);
        prop_assert_eq!(back(&rest), set(&a).difference(&set(&b)).copied().collect());
        let diff = old.diff(&new, &integers);
        prop_assert_eq!(old.apply_diff(&diff, &integers).unwrap(), new.clone());
        let mut text = String::new();
        new.write_json(&mut text, false);
        prop_assert_eq!(&text, &new.to_json(false).to_string());
        let json: Json = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(Datum::from_json(&json, &integers, None).unwrap(), new);
    }

    #[test]
    fn maps_survive_their_diffs_and_their_text(
        a in proptest::collection::btree_map("[a-c]", "\\PC{0,4}", 0..4),
        b in proptest::collection::btree_map("[a-c]", "\\PC{1,4}", 0..4),
    ) {
        let r#type = ty(json!({"key": "string", "value": "string", "min": 0, "max": "unlimited"}));
        let datum = |m: &std::collections::BTreeMap<String, String>| Datum::map(m.iter().map(|(k, v)| (Atom::from(k.as_str()), Atom::from(v.as_str()))));
        let (old, new) = (datum(&a), datum(&b));
        let diff = old.diff(&new, &r#type);
        prop_assert_eq!(old.apply_diff(&diff, &r#type).unwrap(), new.clone());
        prop_assert_eq!(Datum::from_text(&new.to_text(&r#type), &r#type, None).unwrap(), new);
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,30}") {
        for r#type in [json!("integer"), json!({"key": "string", "value": "real", "min": 0, "max": 3})] {
            let _ = Datum::from_text(&text, &ty(r#type), None);
        }
        let _ = next_token(&text);
    }
}
