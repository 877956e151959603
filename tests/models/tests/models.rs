//! Runs every model.

#[test]
fn what_is_left_is_done_once_and_in_order() {
    models::changes::what_is_left_is_done_once_and_in_order();
}

#[test]
fn a_reader_sees_a_counter_grow() {
    models::counters::a_reader_sees_a_counter_grow();
}

#[test]
fn an_answer_is_not_kept_beyond_a_change() {
    models::known::an_answer_is_not_kept_beyond_a_change();
}

#[test]
fn who_is_up_to_date_by_the_number_has_the_latest() {
    models::known::who_is_up_to_date_by_the_number_has_the_latest();
}

#[test]
fn what_is_put_is_taken() {
    models::turns::what_is_put_is_taken();
}

#[test]
fn what_the_kernel_puts_is_taken() {
    models::turns::what_the_kernel_puts_is_taken();
}

#[test]
fn a_filled_slot_holds_its_frame() {
    models::turns::a_filled_slot_holds_its_frame();
}

#[test]
fn rules_change_while_packets_pass_and_flows_are_looked_through() {
    models::flows::rules_change_while_packets_pass_and_flows_are_looked_through();
}

#[test]
fn flows_are_removed_while_packets_pass_and_flows_are_looked_through() {
    models::flows::flows_are_removed_while_packets_pass_and_flows_are_looked_through();
}

#[test]
fn counters_are_read_while_flows_are_looked_through() {
    models::flows::counters_are_read_while_flows_are_looked_through();
}

#[test]
fn a_queue_has_one_worker_at_a_time() {
    models::seats::a_queue_has_one_worker_at_a_time();
}
