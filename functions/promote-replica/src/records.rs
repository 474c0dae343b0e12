//! The records of a cluster on EC2, as a change of writer leaves them.

use crate::Pass;
use domain::{lsn::Lsn, records::RecordsSeen, state::Synchronous};
use reconcile::{Failure, Outside};
use std::net::IpAddr;

impl<O: Outside> Pass<O> {
    pub(crate) async fn publish(&mut self, synchronous: &Synchronous, floor: Option<Lsn>) -> Result<(), Failure> {
        let epoch = self.at_desk().state()?.epoch;
        self.looks.outside.publish_synchronous(epoch, &self.looks.pass, synchronous, floor).await
    }

    pub(crate) async fn move_record(&mut self, from: Option<(IpAddr, u64)>, to: (IpAddr, u64)) -> Result<(), Failure> {
        match self.looks.outside.move_writer(from, to).await {
            Ok(()) => {
                let name = &self.looks.outside.card().records.writer;
                tracing::info!("record {name} moved to {}, epoch {}", to.0, to.1);
                self.looks.changed_records(Ok(|records: &mut RecordsSeen| {
                    (records.writer, records.epoch) = (vec![to.0], Some(to.1));
                }));
                self.at_desk().note_moved().await
            }
            Err(failure) => self.record_waits(failure),
        }
    }

    pub(crate) async fn set_readers(&mut self, addresses: &[IpAddr]) -> Result<(), Failure> {
        match self.looks.outside.set_readers(addresses).await {
            Ok(()) => {
                let readers = addresses.to_vec();
                self.looks.changed_records(Ok(|records: &mut RecordsSeen| records.reader = readers));
                Ok(())
            }
            Err(failure) => self.record_waits(failure),
        }
    }

    fn record_waits(&mut self, failure: Failure) -> Result<(), Failure> {
        self.looks.changed_records(Err::<fn(&mut RecordsSeen), _>(waits(failure)?));
        Ok(())
    }
}

/// Route 53's control plane is in one Region: when it is down, everything
/// that does not need it goes on. A lost race is another matter.
pub(crate) fn waits(failure: Failure) -> Result<String, Failure> {
    if let Failure::LostRace { .. } = failure {
        return Err(failure);
    }
    tracing::warn!("{}", failure.story());
    Ok(failure.story())
}
