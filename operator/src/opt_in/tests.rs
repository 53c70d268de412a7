use super::*;

#[test]
fn the_nearest_word_decides() {
    let unclear = Wish::Unclear {
        origin: Origin::Pod,
        word: "yes".into(),
    };
    for (own, owners, namespace, expected) in [
        (None, None, None, Wish::Absent),
        (None, None, Some("enabled"), Wish::Enabled(Origin::Namespace)),
        (Some("disabled"), None, Some("enabled"), Wish::Disabled(Origin::Pod)),
        (None, Some("disabled"), Some("enabled"), Wish::Disabled(Origin::Owner)),
        (Some("enabled"), Some("disabled"), None, Wish::Enabled(Origin::Pod)),
        (Some("yes"), Some("enabled"), Some("enabled"), unclear),
    ] {
        let annotation = |name: &str| match name {
            ANNOTATION_INJECT => own,
            ANNOTATION_FROM_OWNER => owners,
            _ => None,
        };
        let found = wish(annotation, namespace);
        assert_eq!(found, expected, "{own:?} {owners:?} {namespace:?}");
        assert_eq!(found.is_enabled(), matches!(expected, Wish::Enabled(_)));
    }
}
