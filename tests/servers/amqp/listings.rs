//! What the seed's own example prints of its plan.

use std::process::Command;

use crate::support::built::example;

const LISTINGS: &str = r"
Declared pipeline:

:  AMQP-QUEUE:[Bytes]                                                   (1) logical
>> [Node]:XML-FILTER:[Node]                                             (2) logical
>> [Bytes]:STD-OUT:[]                                                   (3) logical

Pipeline with injected network coders

:  AMQP-QUEUE:[Bytes]                                                   (1) logical
>> [Bytes]:NET-SPLIT:[Bytes]                                             -  net-out
>> [Node]:XML-FILTER:[Node]                                             (2) logical
>> [Bytes]:NET-MERGE-SORT:[Bytes]                                        -  net-in
>> [Bytes]:STD-OUT:[]                                                   (3) logical

Final Pipeline with injected type coders

:  AMQP-QUEUE:[Bytes]                                                   (1) logical
>> [Bytes]:NET-SPLIT:[Bytes]                                             -  net-out
>> [Bytes]:XML-DECODER:[Node]                                            -  decode
>> [Node]:XML-FILTER:[Node]                                             (2) logical
>> [Node]:XML-ENCODER:[Bytes]                                            -  encode
>> [Bytes]:NET-MERGE-SORT:[Bytes]                                        -  net-in
>> [Bytes]:STD-OUT:[]                                                   (3) logical
";

#[test]
fn the_example_of_the_seed_prints_its_listings() {
    let mut command = Command::new(example("amqp_xml_filter"));
    command.args(["--url", "amqp://me:s3cret@nowhere", "--queue", "orders", "--where", "status=paid"]);
    let ran = command.args(["--explain", "--instances", "3"]).output().expect("an example starts");
    let said = String::from_utf8(ran.stdout).expect("it prints text");
    assert!(said.starts_with(LISTINGS.trim_start()), "{said}");
    assert!(!said.contains("s3cret"), "{said}");
}
