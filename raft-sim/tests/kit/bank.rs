//! A bank: transfers move money between accounts, and the sum stays.

use crate::{Mistake, found};
use raft_sim::failure::Failure;
use raft_sim::kit::{Kit, Mark, StateMachine};
use raft_sim::service::ServiceDefect;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::error::Error;

const ACCOUNTS: u8 = 4;
const FIRST_DEPOSIT: u64 = 100;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Transfer {
    from: u8,
    to: u8,
    amount: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Answer {
    Moved,
    TooLittle,
}

/// The account that paid last is in a cache, and not among the others.
struct Bank {
    accounts: BTreeMap<u8, u64>,
    cached: Option<(u8, u64)>,
    mistake: Mistake,
}

impl Bank {
    fn new(mistake: Mistake) -> Bank {
        Bank {
            accounts: (0..ACCOUNTS).map(|it| (it, FIRST_DEPOSIT)).collect(),
            cached: None,
            mistake,
        }
    }

    fn cache(&mut self, account: u8) -> &mut u64 {
        if self.cached.is_none_or(|(cached, _)| cached != account) {
            self.write_back();
            let balance = self.accounts.remove(&account).unwrap_or(0);
            self.cached = Some((account, balance));
        }
        &mut self.cached.as_mut().expect("just cached").1
    }

    fn write_back(&mut self) {
        if let Some((account, balance)) = self.cached.take() {
            self.accounts.insert(account, balance);
        }
    }

    fn sum(&self) -> u64 {
        let cached = self.cached.map_or(0, |(_, balance)| balance);
        self.accounts.values().sum::<u64>() + cached
    }
}

impl StateMachine for Bank {
    type Command = Transfer;
    type Answer = Answer;

    fn apply(&mut self, transfer: Transfer) -> Answer {
        let balance = self.cache(transfer.from);
        if *balance < transfer.amount {
            return Answer::TooLittle;
        }
        *balance -= transfer.amount;
        if transfer.from == transfer.to {
            *balance += transfer.amount;
        } else {
            *self.accounts.entry(transfer.to).or_default() += transfer.amount;
        }
        Answer::Moved
    }

    fn snapshot(&self) -> Vec<u8> {
        let mut accounts = self.accounts.clone();
        if self.mistake == Mistake::None {
            accounts.extend(self.cached);
        }
        accounts
            .into_iter()
            .flat_map(|(account, balance)| [u64::from(account), balance])
            .flat_map(u64::to_le_bytes)
            .collect()
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.cached = None;
        self.accounts.clear();
        for account in snapshot.chunks(16) {
            let (number, balance) = account.split_at(8);
            let number = u64::from_le_bytes(number.try_into()?);
            let balance = u64::from_le_bytes(balance.try_into()?);
            self.accounts.insert(number.try_into()?, balance);
        }
        Ok(())
    }
}

fn kit(mistake: Mistake) -> Kit<Bank> {
    let new = move || Bank::new(mistake);
    Kit::new(new, |_, random| Transfer {
        from: random.below(ACCOUNTS.into()) as u8,
        to: random.below(ACCOUNTS.into()) as u8,
        amount: random.between(1, 60),
    })
    .invariant("the sum stays", |bank| {
        let (sum, expected) = (bank.sum(), u64::from(ACCOUNTS) * FIRST_DEPOSIT);
        (sum == expected)
            .then_some(())
            .ok_or(format!("it is {sum}, not {expected}"))
    })
    .requires(Mark::USUAL)
    .sometimes("an account has too little", |_, answer| {
        *answer == Answer::TooLittle
    })
}

#[test]
fn a_bank_keeps_the_sum_of_its_accounts() {
    let summary = kit(Mistake::None).seeds(0..60).run();
    assert!(summary.reached_own("an account has too little") > Some(0));
}

#[test]
fn a_bank_whose_snapshot_forgets_the_cached_account_is_found() {
    let found = found(kit(Mistake::Planted).shrinking(1_000));
    assert!(
        matches!(
            &found.failure,
            Failure::Service { defect: ServiceDefect::Invariant { name, .. }, .. }
                if name == "the sum stays"
        ),
        "{found}"
    );
}
