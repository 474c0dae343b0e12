//! Streaming replication: log, acknowledgements, signs of life, reconnects.

use crate::{
    clock::{Event, Ms},
    member::{Receiver, Sender},
    server::SEGMENT,
    story,
    world::World,
};

/// `wal_sender_timeout` and `wal_receiver_timeout` of generated members.
const TIMEOUT: Ms = 5_000;
/// `wal_retrieve_retry_interval`.
const RETRY: Ms = 500;
/// `connect_timeout` of the replication connection.
const CONNECT_TIMEOUT: Ms = 3_000;
/// TCP sends lost packets again.
const RESEND: Ms = 250;

impl World {
    pub(crate) fn connects_after(&mut self, down: usize, span: Ms) {
        let life = self.members[down].life;
        let Some(standby) = self.members[down].standby_mut() else { return };
        if standby.connecting || standby.promoting || standby.receiver.is_some() {
            return;
        }
        standby.connecting = true;
        self.queue.after(span, Event::Connect { down, life });
    }

    pub(crate) fn connects(&mut self, down: usize, life: u32) {
        if self.members[down].life != life {
            return;
        }
        let now = self.queue.now();
        if self.members[down].host.hung {
            return self.queue.after(100, Event::Connect { down, life });
        }
        let upstream = self.members[down].data.upstream;
        let Some(standby) = self.members[down].standby_mut() else { return };
        standby.connecting = false;
        let (reads_until, promoting) = (standby.reads_until, standby.promoting);
        let Some(up) = upstream.filter(|up| *up != down && !promoting) else { return };
        if now < reads_until {
            return self.connects_after(down, reads_until - now);
        }
        if !self.net.reaches(down, up) || !self.members[up].runs() {
            // Dropped packets, or a host that is dead or hung.
            return self.connects_after(down, CONNECT_TIMEOUT + RETRY);
        }
        let slot = self.members[up].data.slots & (1 << down) != 0;
        let busy = self.members[up].writer().is_none_or(|writer| writer.stopping);
        if busy || !slot || !self.can_follow(down, up) || self.members[down].disk_full {
            return self.connects_after(down, RETRY);
        }
        self.connected(down, up);
    }

    fn connected(&mut self, down: usize, up: usize) {
        let now = self.queue.now();
        self.connections += 1;
        let conn = self.connections;
        let branch = self.members[up].data.branch;
        let (same, end) = (self.members[down].data.branch == branch, self.members[down].data.lsn);
        let Some(standby) = self.members[down].standby_mut() else { return };
        // As in RequestXLogStreaming: anew on another timeline, and from the segment's beginning.
        if standby.received.is_none() || !same {
            standby.received = Some(end / SEGMENT * SEGMENT);
        }
        standby.receiver = Some(Receiver { up, branch, conn, heard: now });
        story!(self, "{} streams from {}", self.id(down), self.id(up));
        let beat = self.between(200, 1_500);
        if let Some(writer) = self.members[up].writer_mut() {
            writer.streams[down] = Some(Sender { conn, flushed: None, heard: now, sent: end, busy: true });
        }
        let to = self.members[up].data.lsn;
        self.sends(up, down, conn, to);
        self.queue.after(beat, Event::Beat { up, down, conn });
        self.changed();
    }

    fn sends(&mut self, up: usize, down: usize, conn: u32, to: u64) {
        let latency = self.between(1, 8);
        let latency = if self.chance(2) { latency + 150 } else { latency } + self.members[down].lag;
        self.queue.after(latency, Event::Log { up, down, conn, to, again: false });
    }

    /// New log goes to everybody who is connected.
    pub(crate) fn sends_all(&mut self, up: usize) {
        let to = self.members[up].data.lsn;
        for down in 0..self.members.len() {
            let Some(writer) = self.members[up].writer_mut() else { return };
            if let Some(stream) = &mut writer.streams[down]
                && !stream.busy
                && stream.sent < to
            {
                (stream.busy, stream.sent) = (true, to);
                let conn = stream.conn;
                self.sends(up, down, conn, to);
            }
        }
    }

    fn receiver(&mut self, down: usize, conn: u32) -> Option<&mut Receiver> {
        self.members[down].standby_mut()?.receiver.as_mut().filter(|receiver| receiver.conn == conn)
    }

    fn sender(&mut self, up: usize, down: usize, conn: u32) -> Option<&mut Sender> {
        self.members[up].writer_mut()?.streams[down].as_mut().filter(|stream| stream.conn == conn)
    }

    /// A piece of log arrives.
    pub(crate) fn log_arrives(&mut self, up: usize, down: usize, conn: u32, to: u64, again: bool) {
        if self.receiver(down, conn).is_none() {
            return;
        }
        if !self.net.passes(up, down) || self.members[down].host.hung {
            // What was on its way needs a living sender to be sent again.
            if !again || self.members[up].host.up {
                self.queue.after(RESEND, Event::Log { up, down, conn, to, again: true });
            }
            return;
        }
        self.receives(up, down, conn, to);
        let end = self.members[up].data.lsn;
        if let Some(stream) = self.sender(up, down, conn) {
            stream.busy = false;
            if stream.sent < end {
                (stream.busy, stream.sent) = (true, end);
                self.sends(up, down, conn, end);
            }
        }
    }

    /// The standby writes it to its disk, and says so.
    pub(crate) fn receives(&mut self, up: usize, down: usize, conn: u32, to: u64) {
        let now = self.queue.now();
        let replay = self.between(5, 60);
        let (from, checkpoint) = (self.members[down].data.lsn, self.members[down].data.checkpoint);
        let Some(standby) = self.members[down].standby_mut() else { return };
        let Some(receiver) = standby.receiver.as_mut().filter(|receiver| receiver.conn == conn) else { return };
        receiver.heard = now;
        let tip = receiver.branch;
        standby.replayed = standby.replayed(now, checkpoint, from);
        standby.replayed_at = now + replay;
        if to >= from {
            standby.received = Some(to);
            let data = &mut self.members[down].data;
            (data.lsn, data.branch) = (to, tip);
        }
        let latency = self.between(2, 10);
        let to = to.max(from);
        self.queue.after(latency, Event::Ack { up, down, conn, to, again: false });
    }

    pub(crate) fn ack_arrives(&mut self, up: usize, down: usize, conn: u32, to: u64, again: bool) {
        if self.sender(up, down, conn).is_none() {
            return;
        }
        if !self.net.passes(down, up) || self.members[up].host.hung {
            if !again || self.members[down].host.up {
                self.queue.after(RESEND, Event::Ack { up, down, conn, to, again: true });
            }
            return;
        }
        let now = self.queue.now();
        let Some(stream) = self.sender(up, down, conn) else { return };
        stream.heard = now;
        let first = stream.flushed.is_none();
        stream.flushed = stream.flushed.max(Some(to));
        if first {
            self.changed();
        }
        self.releases(up);
    }

    /// Signs of life go both ways at least every 2.5 s; who hears none for 5 s ends the stream.
    pub(crate) fn beats(&mut self, up: usize, down: usize, conn: u32) {
        let now = self.queue.now();
        let (forth, back) = (self.net.passes(up, down), self.net.passes(down, up));
        let (up_runs, down_runs) = (self.members[up].runs(), self.members[down].runs());
        let sender = self.sender(up, down, conn).is_some();
        let receiver = self.receiver(down, conn).is_some();
        if !sender && !receiver {
            return;
        }
        if sender && receiver && forth && back && up_runs && down_runs {
            if let Some(receiver) = self.receiver(down, conn) {
                receiver.heard = now;
            }
            if let Some(stream) = self.sender(up, down, conn) {
                stream.heard = now;
            }
        }
        if down_runs && self.receiver(down, conn).is_some_and(|receiver| now - receiver.heard > TIMEOUT) {
            story!(self, "{} ends its stream from {}: silent", self.id(down), self.id(up));
            self.receiver_ends(down, Some(conn));
        }
        if up_runs && self.sender(up, down, conn).is_some_and(|stream| now - stream.heard > TIMEOUT) {
            self.sender_ends(up, down, conn);
        }
        let next = self.between(300, 1_200);
        self.queue.after(next, Event::Beat { up, down, conn });
    }

    /// The WAL receiver ends; the standby tries again, if it has an upstream.
    pub(crate) fn receiver_ends(&mut self, down: usize, conn: Option<u32>) {
        let Some(standby) = self.members[down].standby_mut() else { return };
        let matches = |receiver: &Receiver| conn.is_none_or(|conn| receiver.conn == conn);
        let Some(receiver) = standby.receiver.take_if(|receiver| matches(receiver)) else { return };
        if self.members[down].runs() && self.net.passes(down, receiver.up) {
            self.soon(3, move |world| world.sender_ends(receiver.up, down, receiver.conn));
        }
        self.connects_after(down, RETRY);
        self.changed();
    }

    /// The WAL sender ends.
    pub(crate) fn sender_ends(&mut self, up: usize, down: usize, conn: u32) {
        if self.sender(up, down, conn).is_none() {
            return;
        }
        if self.members[up].host.hung {
            return self.soon(200, move |world| world.sender_ends(up, down, conn));
        }
        if let Some(writer) = self.members[up].writer_mut() {
            writer.streams[down] = None;
        }
        if self.members[up].host.up && self.net.passes(up, down) {
            self.soon(3, move |world| world.receiver_ends(down, Some(conn)));
        }
        self.changed();
    }
}
