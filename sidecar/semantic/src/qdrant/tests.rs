use super::*;

#[test]
fn addresses_have_a_scheme_a_host_and_perhaps_a_key() {
    let parse = |address: &str| address.parse::<Server>();
    let plain = parse("http://qdrant.stores.svc").unwrap();
    assert_eq!(
        format!("{plain:?}"),
        "Server { url: \"http://qdrant.stores.svc:6334\", .. }"
    );
    assert_eq!(parse("http://qdrant.stores.svc:6334/").unwrap(), plain);
    let keyed = parse("https://s3cret@[::1]:7").unwrap();
    assert_eq!(keyed, parse("https://[::1]:7").unwrap().with_api_key("s3cret"));
    assert_eq!(format!("{keyed:?}"), "Server { url: \"https://[::1]:7\", .. }");
    for bad in [
        "qdrant:6334",
        "redis://q",
        "http://",
        "http://q:0",
        "http://q:x",
        "http://a,b",
        "http://q/path",
        "http://@q",
        "http://:1",
        "http://a:b:1",
    ] {
        let error = parse(bad).unwrap_err().to_string();
        assert!(error.contains("write it as http://host"), "{bad}: {error}");
    }
    assert!(!parse("s3cret@q").unwrap_err().to_string().contains("s3cret"));
}

#[test]
fn what_is_bound_differs_in_every_part() {
    let vector = [0.5; DIMENSIONS];
    let mut other = vector;
    other[383] = 0.25;
    let bound = Point::bound(&[1; 32], &[2; 32], &vector, 3);
    for different in [
        Point::bound(&[2; 32], &[2; 32], &vector, 3),
        Point::bound(&[1; 32], &[1; 32], &vector, 3),
        Point::bound(&[1; 32], &[2; 32], &vector, 4),
        Point::bound(&[1; 32], &[2; 32], &other, 3),
    ] {
        assert_ne!(bound, different);
    }
}
