use super::*;

#[test]
fn a_signature_covers_time_and_body() {
    // python3 -c "import hmac; print(hmac.new(b'0123456789abcdef', b'1700000000.{}', 'sha256').hexdigest())"
    assert_eq!(
        signature(b"0123456789abcdef", 1_700_000_000, "{}"),
        "t=1700000000,v1=e4f8e2ecae2295b2ddb2f0b5584c8275e226c0ebe9b3b819e70156bb67122e3e"
    );
    assert_ne!(signature(b"0123456789abcdef", 1, "{}"), signature(b"0123456789abcdef", 2, "{}"));
}

#[test]
fn an_answer_that_is_not_a_yes_is_a_no_that_says_what_to_do() {
    assert_eq!(judge(204), Ok(()));
    for (status, remedy) in
        [(302, "write the URL"), (403, "the secret"), (404, "the URL"), (500, "answers 500")]
    {
        assert!(judge(status).unwrap_err().contains(remedy), "{status}");
    }
}
