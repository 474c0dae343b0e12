//! The lab, up: the local AWS, the fleet in it, names.

use crate::{
    clean,
    error::{Error, cannot},
    fleet::{self, Fleet},
    local_aws,
    names::{self, Names, Zone},
    owner::Owner,
    place::{Place, REGION, SECOND_REGION},
    processes,
    progress::{Progress, Step},
    setup,
};
use std::{fs, path::PathBuf, sync::Arc};

/// Everything a command needs of a lab that is up.
pub struct Lab {
    /// Its folders.
    pub place: Place,
    /// The owner of the account.
    pub owner: Owner,
    /// What was deployed.
    pub fleet: Fleet,
    /// The hosted zone.
    pub zone: Arc<Zone>,
    _names: Names,
}

/// Written by `lab up`, last: the lab is whole and stays.
fn marker(place: &Place) -> PathBuf {
    place.dir.join("up")
}

/// Whether `lab up` was said and its local AWS still runs.
pub fn stays(place: &Place) -> bool {
    marker(place).exists() && local_aws::runs(place)
}

/// Has the lab stay when the command ends.
pub fn stay(place: &Place) -> Result<(), Error> {
    let marker = marker(place);
    fs::write(&marker, "").map_err(cannot(format!("write {}", marker.display())))
}

impl Lab {
    /// Starts what is not running, builds what is not built, deploys what is not deployed.
    pub async fn up(place: &Place, progress: Progress) -> Result<Lab, Error> {
        let stays = stays(place);
        if !stays {
            // What is left of a lab that was killed is not to be trusted: it goes before a new one begins.
            let left = processes::below(&place.dir).len();
            if left > 0 {
                eprintln!("  ending {left} processes that an earlier lab left behind");
            }
            clean::remove(place).await?;
        }
        place.make()?;
        setup::tools(place, progress).await?;
        setup::functions(place, progress).await?;
        let step = progress.step("local AWS");
        if stays {
            step.done("runs, started by `lab up`");
        } else {
            local_aws::start(place, &step).await?;
            step.done("runs, with IAM enforced");
        }
        let owner = Owner::start(place)?;
        let step = progress.step("fleet");
        let fleet = fleet_in(place, &owner, REGION, None, step).await?;
        let zone = Arc::new(Zone::new(Owner::start(place)?, fleet.zone.clone()));
        let names = names::serve(Arc::clone(&zone)).await?;
        Ok(Lab { place: place.clone(), owner, fleet, zone, _names: names })
    }
}

/// What clusters with two Regions need beside the fleet.
pub struct Second {
    /// The owner of the account, in the second Region.
    pub owner: Owner,
    /// What was deployed there.
    pub fleet: Fleet,
}

impl Lab {
    /// The fleet of the second Region, deployed unless it is.
    pub async fn second(&self, progress: Progress) -> Result<Second, Error> {
        let owner = self.owner.within(SECOND_REGION);
        let step = progress.step("second fleet");
        let fleet = fleet_in(&self.place, &owner, SECOND_REGION, Some(&self.fleet.zone), step).await?;
        Ok(Second { owner, fleet })
    }
}

/// The fleet of a Region, deployed unless it is.
async fn fleet_in(place: &Place, owner: &Owner, region: &str, zone: Option<&str>, step: Step) -> Result<Fleet, Error> {
    let mut fleet = match Fleet::find(place, region)? {
        Some(fleet) => fleet,
        None => fleet::network(place, owner, region, zone).await?,
    };
    let deployed = fleet::deploy(place, owner, &mut fleet, &step).await?;
    step.done(if deployed { "deployed by SAM from infra/template.yaml" } else { "deployed before, unchanged" });
    Ok(fleet)
}
