use super::super::wire::{answer_bytes, opened_bytes, read_answer, read_opened, receive, send};
use super::super::{TextError, Vector, WIDTH};

#[test]
fn a_frame_comes_back_whole_and_a_closed_stream_is_no_frame() {
    let mut stream = Vec::new();
    send(&mut stream, b"one").unwrap();
    send(&mut stream, b"").unwrap();
    let mut stream = stream.as_slice();
    assert_eq!(receive(&mut stream).unwrap().unwrap(), b"one");
    assert_eq!(receive(&mut stream).unwrap().unwrap(), b"");
    assert!(receive(&mut stream).unwrap().is_none());
}

#[test]
fn a_frame_that_claims_too_much_or_is_cut_short_is_an_error() {
    assert!(receive(&mut [255, 255, 255, 255, 0].as_slice()).is_err());
    assert!(receive(&mut [3, 0, 0, 0, 1].as_slice()).is_err());
}

#[test]
fn answers_come_back_as_they_were() {
    let vector = Vector::new(&[1.0; WIDTH]).unwrap();
    let back = read_answer(&answer_bytes(&Ok(vector.clone()))).unwrap().unwrap();
    assert!(back.cosine(&vector) > 0.9999);
    let back = read_answer(&answer_bytes(&Err(TextError::TooLong))).unwrap();
    assert!(matches!(back, Err(TextError::TooLong)));
    let back = read_answer(&answer_bytes(&Err(TextError::Failed("why".to_owned())))).unwrap();
    assert!(matches!(back, Err(TextError::Failed(reason)) if reason == "why"));
    assert_eq!(
        read_opened(&opened_bytes(&Ok("space".to_owned()))).unwrap().unwrap(),
        "space"
    );
    let back = read_opened(&opened_bytes(&Err("why".to_owned()))).unwrap();
    assert_eq!(back.unwrap_err(), "why");
}

#[test]
fn garbage_is_an_error() {
    for bytes in [&b""[..], b"\x00", b"\x00abcd", b"\x07"] {
        assert!(read_answer(bytes).is_err(), "{bytes:?}");
    }
    let infinite: Vec<u8> = [0].into_iter().chain([0xff; 4 * WIDTH]).collect();
    assert!(read_answer(&infinite).is_err());
    assert!(read_opened(b"").is_err());
    assert!(read_opened(b"\x07").is_err());
}
