from bank_pipeline_tests.sync.ground import *
from decimal import Decimal
def test_a(ground):
    ground.world.add_booked(CHECKING, Decimal("-5.50"))
    c = ground.link_ready()
    print(ground.differences(c), ground.rows(), ground.calls(), ground.calls(ACCOUNTS))
    assert ground.differences(c)==[]
def test_b(ground):
    ground.world.add_booked(CHECKING, Decimal("-5.50"))
    c = ground.link_ready()
