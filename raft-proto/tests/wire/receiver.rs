//! A node takes what is for it, and all that its peers may send.

use super::*;
use raft_proto::wire::{ReceiveError, Receiver};

#[test]
fn what_is_for_this_node_is_accepted() {
    let frame = wire::encode(&envelope(), &heartbeat());
    let accepted = Receiver::new(&config(2)).accept(frame);
    assert_eq!(accepted, Ok((NodeId(1), heartbeat())));
}

#[test]
fn what_is_for_others_is_refused() {
    let from = NodeId(1);
    let receiver = Receiver::new(&config(2));
    let refused = |envelope: Envelope| {
        let mut frame = wire::encode(&envelope, &heartbeat()).to_vec();
        frame.push(0); // not even a message, but that comes second
        receiver.accept(Bytes::from(frame)).unwrap_err()
    };
    let error = refused(Envelope {
        cluster_id: ClusterId(8),
        ..envelope()
    });
    let (found, ours) = (ClusterId(8), ClusterId(7));
    assert_eq!(error, ReceiveError::OtherCluster { from, found, ours });
    let error = refused(Envelope {
        group_id: GroupId(5),
        ..envelope()
    });
    let (found, ours) = (GroupId(5), GroupId(0));
    assert_eq!(error, ReceiveError::OtherGroup { from, found, ours });
    let error = refused(Envelope {
        to: NodeId(3),
        ..envelope()
    });
    let (addressee, ours) = (NodeId(3), NodeId(2));
    let expected = ReceiveError::OtherAddressee {
        from,
        addressee,
        ours,
    };
    assert_eq!(error, expected);
    let told = error.to_string();
    assert!(told.contains("from n1 to n3 reached n2"), "{told}");
    let error = refused(envelope());
    assert_eq!(
        error,
        ReceiveError::Decode(DecodeError::TrailingBytes { count: 1 })
    );
}

/// The frame of entries with these payloads, each in a term of its own.
fn append_of(payloads: Vec<Bytes>) -> Bytes {
    let mut builder = EntriesBuilder::new();
    for (at, payload) in payloads.into_iter().enumerate() {
        let id = EntryId::new(at as u64 + 1, at as u64 + (1 << 40));
        builder.push(id, EntryKind::Command, payload).unwrap();
    }
    wire::encode(&envelope(), &append(EntryId::ZERO, builder.finish()))
}

#[test]
fn the_limits_of_a_config_admit_all_that_it_sends() {
    let mut config = config(1);
    let many_small = vec![Bytes::new(); (config.max_append_bytes / ENTRY_OVERHEAD) as usize];
    let header_bytes = 1 << 16;
    assert!(append_of(many_small).len() as u64 <= config.max_append_bytes + header_bytes);

    config.max_append_bytes = 32 << 20;
    config.max_entry_bytes = config.max_append_bytes - ENTRY_OVERHEAD;
    let limits = Limits::for_config(&config);
    let one_large = append_of(vec![Bytes::from(vec![0; config.max_entry_bytes as usize])]);
    assert!(wire::decode(one_large, &limits).is_ok());
    let beyond = Bytes::from(vec![1; limits.max_frame_bytes as usize + 1]);
    let error = wire::decode(beyond, &limits).unwrap_err();
    assert!(matches!(error, DecodeError::FrameTooLarge { .. }));
}
