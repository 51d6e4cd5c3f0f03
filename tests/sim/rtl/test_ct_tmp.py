import pytest, time
from amaranth.hdl import Module
from amaranth.lib import stream
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import Component, In, Out
from tests.support.cocotb_runner import run_cocotb
class Fifo(Component):
    def __init__(self,*,width,depth):
        super().__init__({"i":In(stream.Signature(width)),"o":Out(stream.Signature(width))})
        self.width,self.depth=width,depth
    def elaborate(self,platform):
        m=Module()
        m.submodules.f=f=SyncFIFOBuffered(width=self.width,depth=self.depth)
        m.d.comb+=[f.w_data.eq(self.i.payload),f.w_en.eq(self.i.valid),self.i.ready.eq(f.w_rdy),self.o.payload.eq(f.r_data),self.o.valid.eq(f.r_rdy),f.r_en.eq(self.o.ready)]
        return m
@pytest.mark.parametrize("seed",range(3))
@pytest.mark.parametrize("depth",[4,15])
def test_f(seed,depth):
    t=time.time()
    run_cocotb(Fifo(width=8,depth=depth),"tests.cocotb.fifo_bench",seed=seed,parameters={"width":8})
    print(time.time()-t)
