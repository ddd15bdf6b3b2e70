use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;

use super::*;

#[test]
fn a_frame_arrives_with_its_descriptors() {
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    let event = Event::NetworkDenied("sock_send".to_owned());
    send(&ours, &event, &[writer.as_fd()]).expect("sent");
    drop(writer);

    let (received, descriptors) = receive::<Event>(&theirs).expect("whole").expect("a frame");
    assert_eq!((received, descriptors.len()), (event, 1));
    for descriptor in descriptors {
        File::from(descriptor).write_all(b"through").expect("the same pipe");
    }
    let mut text = String::new();
    reader.read_to_string(&mut text).expect("ended");
    assert_eq!(text, "through");
}

#[test]
fn a_large_order_arrives_whole() {
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    let sent = Event::NetworkDenied("x".repeat(1 << 20));
    let expected = sent.clone();
    let sender = std::thread::spawn(move || send(&ours, &sent, &[]));
    assert_eq!(receive::<Event>(&theirs).expect("whole").expect("a frame").0, expected);
    sender.join().expect("no panic").expect("sent");
}

#[test]
fn frames_are_taken_off_as_they_become_whole() {
    let events = [Event::Started, Event::Grew(7), Event::NetworkDenied("x".repeat(300))];
    let sent: Vec<u8> = events.iter().flat_map(|event| frame(event).expect("small")).collect();
    for step in [1, 3, 5, sent.len()] {
        let (mut received, mut taken) = (Vec::new(), Vec::new());
        for bytes in sent.chunks(step) {
            received.extend_from_slice(bytes);
            taken.extend(std::iter::from_fn(|| take_frame::<Event>(&mut received).expect("well formed")));
        }
        assert_eq!((taken.as_slice(), received.len()), (&events[..], 0), "{step} bytes at once");
    }
}

#[test]
fn what_is_no_frame_is_an_error_and_never_a_large_allocation() {
    let too_long = u32::try_from(LARGEST_FRAME + 1).expect("fits").to_le_bytes().to_vec();
    let garbage = [&4_u32.to_le_bytes()[..], b"oops"].concat();
    let unknown = [&8_u32.to_le_bytes()[..], br#""Dancer""#].concat();
    let torn = [&9_u32.to_le_bytes()[..], b"\"St"].concat();
    for bytes in [&too_long, &garbage, &unknown] {
        assert!(take_frame::<Event>(&mut bytes.clone()).is_err(), "{bytes:?}");
    }
    for bytes in [too_long, garbage, unknown, torn, vec![1, 2]] {
        let (mut ours, theirs) = UnixStream::pair().expect("a pair");
        ours.write_all(&bytes).expect("written");
        drop(ours);
        assert!(receive::<Event>(&theirs).is_err(), "{bytes:?}");
    }
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    drop(ours);
    assert!(receive::<Event>(&theirs).expect("an end is no error").is_none());
}
