/// Version 7: what became of each job stands in its row, and a bid that came to nothing is closed.
///
/// Before, a listing after a restart had to infer it from the state, and lost bids looked open.
enum JobOutcomes {
    /// The columns, and the index of bids that nobody took; `StoreWriter` repeats its condition word for word.
    static let columns = """
        ALTER TABLE jobs ADD COLUMN standard TEXT NOT NULL DEFAULT '';
        ALTER TABLE jobs ADD COLUMN outcome TEXT NOT NULL DEFAULT '';
        ALTER TABLE jobs ADD COLUMN outcome_detail TEXT NOT NULL DEFAULT '';
        ALTER TABLE jobs ADD COLUMN winner_price INTEGER;
        ALTER TABLE jobs ADD COLUMN payment TEXT NOT NULL DEFAULT '';
        DROP INDEX IF EXISTS jobs_bids;
        CREATE INDEX jobs_bids ON jobs(updated_at)
            WHERE role = 'executor' AND terminal = 1 AND status = 'BiddingClosed';
        """

    /// What the rows of earlier versions say, by their states, their reasons in words, and the statuses in their
    /// receipts. Those versions wrote exactly these words; a row with others is `failed` if its job did fail, and its
    /// reason says how.
    static let ofEarlierRows = """
        UPDATE jobs SET status = 'BiddingClosed'
        WHERE role = 'executor' AND terminal = 1 AND status = 'BiddingOpen';

        UPDATE jobs SET standard = CASE
            WHEN role = 'executor' AND terminal = 1 AND status = 'BiddingClosed' THEN ''
            WHEN status IN ('PreparingExecution', 'Running', 'AwaitingInputs', 'ProducingOutputs') THEN 'Running'
            WHEN status = 'Completed' THEN 'CompletedSuccessfully'
            WHEN status IN ('Failed', 'Cancelled') THEN status
            WHEN status IN ('ReceiptGenerated', 'ReceiptAnchored')
                THEN coalesce((SELECT status FROM receipts WHERE receipts.cid = jobs.receipt_cid), 'Failed')
            ELSE 'Pending' END;

        UPDATE jobs SET outcome = CASE
            WHEN standard = '' AND (reason LIKE 'refused (other_bid_taken)%' OR reason LIKE 'refused (bidding_closed)%')
                THEN 'lost'
            WHEN standard = '' AND reason LIKE 'refused (%' THEN 'refused'
            WHEN standard = '' AND reason LIKE 'its assignment was declined%' THEN 'declined'
            WHEN standard = '' AND reason = 'it was not taken up in time' THEN 'lapsed'
            WHEN standard = '' THEN 'undelivered'
            WHEN standard = 'CompletedSuccessfully' THEN 'succeeded'
            WHEN standard = 'Cancelled' THEN 'cancelled'
            WHEN standard = 'Failed' THEN CASE
                WHEN reason LIKE 'the module ended with exit code %' THEN 'exited_non_zero'
                WHEN reason LIKE 'the module trapped (%' THEN 'trapped'
                WHEN reason LIKE 'the module was stopped at its % limit' THEN 'limit_exceeded'
                WHEN reason LIKE 'the module was refused: %' THEN 'module_refused'
                WHEN reason LIKE 'a block could not be fetched: %' THEN 'fetch_failed'
                WHEN reason LIKE 'the executor failed: %' THEN 'executors_failed'
                WHEN reason LIKE '%attempts gave no result%' THEN 'executors_failed'
                WHEN reason LIKE 'no executor bid on the job%' THEN 'no_bids'
                WHEN reason LIKE 'this node is connected to no other%' THEN 'no_bids'
                WHEN reason LIKE 'no node in reach is known to run jobs%' THEN 'no_bids'
                WHEN reason LIKE 'none of % bids was acceptable%' THEN 'no_acceptable_bid'
                WHEN reason LIKE 'the job''s time was over%' THEN 'deadline_passed'
                WHEN reason LIKE '% tokens must be held, % are there' THEN 'insufficient_funds'
                ELSE 'failed' END
            WHEN status = 'PendingAnnouncement' THEN 'announcing'
            WHEN status IN ('Announced', 'BiddingOpen', 'BiddingClosed') THEN 'bidding'
            WHEN status IN ('AwaitingAssignmentConfirmation', 'Assigned') THEN 'assigned'
            WHEN status = 'PreparingExecution' THEN 'preparing'
            WHEN status = 'ProducingOutputs' THEN 'collecting'
            ELSE 'running' END;

        UPDATE jobs SET outcome_detail = CASE outcome
            WHEN 'succeeded' THEN '0'
            WHEN 'exited_non_zero' THEN substr(reason, length('the module ended with exit code ') + 1)
            WHEN 'limit_exceeded' THEN replace(replace(replace(
                reason, 'the module was stopped at its ', ''), ' limit', ''), 'wall-clock', 'wall_clock')
            ELSE '' END;

        UPDATE jobs SET payment = CASE
            WHEN coalesce(price, 0) = 0 THEN 'none'
            WHEN EXISTS (SELECT 1 FROM ledger WHERE ledger.job_id = jobs.job_id AND kind = 'income') THEN 'paid'
            WHEN terminal = 1 THEN 'overdue'
            ELSE 'due' END
        WHERE role = 'executor' AND receipt_cid IS NOT NULL;
        """
}
