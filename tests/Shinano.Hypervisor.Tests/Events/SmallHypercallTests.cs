using System.Runtime.InteropServices;
using System.Text;
using Shinano.Hypervisor.Hypercalls;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Tests.Events;

public sealed unsafe class SmallHypercallTests : IDisposable
{
    private const ulong Buffer = ServicesTestDomain.Buffer;
    private const ulong Unmapped = 0x7777_0000;
    private readonly ServicesTestDomain _domain = new();

    public void Dispose() => _domain.Dispose();

    [Fact]
    public void The_version_is_4_17_and_the_features_are_a_pv_domains()
    {
        Assert.Equal((4 << 16) | 17, _domain.Call(HypercallNumber.XenVersion));
        _domain.Write(0u, 0u);
        Assert.Equal(0, _domain.Call(HypercallNumber.XenVersion, 6, Buffer));
        Assert.Equal(0x220E0u, _domain.Read<uint>(4));
        Assert.Equal(0, _domain.Call(HypercallNumber.XenVersion, 5, Buffer));
        Assert.Equal(0xFFFF_8000_0000_0000, _domain.Read<ulong>(0));
        Assert.Equal(4096, _domain.Call(HypercallNumber.XenVersion, 7));
        Assert.Equal(-Errno.Perm, _domain.Call(HypercallNumber.XenVersion, 10, Buffer));
        Assert.Equal(-Errno.NoSystemCall, _domain.Call(HypercallNumber.XenVersion, 11, Buffer));
    }

    [Fact]
    public void The_guest_handle_is_the_uuid_in_written_order()
    {
        Assert.Equal(0, _domain.Call(HypercallNumber.XenVersion, 8, Buffer));
        byte[] bytes = new byte[16];
        Assert.True(_domain.Vcpu.Guest.TryRead(Buffer, bytes));
        Assert.Equal(_domain.Domain.Uuid.ToString("N"), Convert.ToHexStringLower(bytes));
    }

    [Fact]
    public void Every_version_answer_to_a_bad_address_is_a_fault()
    {
        foreach (ulong command in (ulong[])[1, 2, 3, 4, 5, 6, 8, 9])
        {
            Assert.Equal(-Errno.Fault, _domain.Call(HypercallNumber.XenVersion, command, Unmapped));
        }
    }

    [Fact]
    public void Console_output_is_logged_line_by_line_without_control_characters()
    {
        byte[] text = Encoding.ASCII.GetBytes("one\x1b[2J\ntwo");
        _domain.Write(text);
        Assert.Equal(0, _domain.Call(HypercallNumber.ConsoleIo, 0, (ulong)text.Length, Buffer));
        Assert.Equal(["(d1) one[2J"], _domain.Domain.Log.Snapshot());
        Assert.Equal(-Errno.Perm, _domain.Call(HypercallNumber.ConsoleIo, 1, 1, Buffer));
    }

    [Fact]
    public void A_flood_of_console_output_is_dropped_and_counted()
    {
        _domain.Write(Enumerable.Repeat((byte)'a', 4096).ToArray());
        for (int i = 0; i < 64; i++)
        {
            Assert.Equal(0, _domain.Call(HypercallNumber.ConsoleIo, 0, 4096, Buffer));
        }

        // A quarter of a megabyte against 16 KiB and 4 KiB each second.
        Assert.True(_domain.Console.Dropped > 0);
        Assert.Equal(-Errno.Fault, _domain.Call(HypercallNumber.ConsoleIo, 0, 1, Unmapped));
    }

    [Fact]
    public void Io_privilege_is_checked_and_interrupts_are_refused()
    {
        _domain.Write(1u);
        Assert.Equal(0, _domain.Call(HypercallNumber.PhysdevOp, 6, Buffer));
        Assert.Equal(1, _domain.Vcpu.Traps.IoPrivilege);
        _domain.Write(4u);
        Assert.Equal(-Errno.Invalid, _domain.Call(HypercallNumber.PhysdevOp, 6, Buffer));
        Assert.Equal(1, _domain.Vcpu.Traps.IoPrivilege);
        Assert.Equal(-Errno.Perm, _domain.Call(HypercallNumber.PhysdevOp, 13, Buffer));
        Assert.Equal(-Errno.Invalid, _domain.Call(HypercallNumber.PhysdevOp, (ulong)PhysdevOp.Eoi, Buffer));
        Assert.Equal(-Errno.Fault, _domain.Call(HypercallNumber.PhysdevOp, (ulong)PhysdevOp.Eoi, Unmapped));
        Assert.Equal(-Errno.NoSystemCall, _domain.Call(HypercallNumber.PhysdevOp, 999, Buffer));
    }

    [Fact]
    public void The_page_for_interrupts_is_taken_once_and_held()
    {
        _domain.Write(_domain.Base.Allocate());
        Assert.Equal(0, _domain.Call(HypercallNumber.PhysdevOp, (ulong)PhysdevOp.PirqEoiGmfnV2, Buffer));
        Assert.Equal(-Errno.Busy, _domain.Call(HypercallNumber.PhysdevOp, (ulong)PhysdevOp.PirqEoiGmfnV2, Buffer));
        Assert.Equal(1, _domain.Frames.Held);
        _domain.Write(0x7777_7777UL);
        Assert.Equal(-Errno.Invalid, _domain.Call(HypercallNumber.PhysdevOp, (ulong)PhysdevOp.PirqEoiGmfnV2, Buffer));
    }

    [Fact]
    public void A_pv_domain_has_no_hvm_parameters()
    {
        _domain.Write(0x7FF0UL, 0UL);
        Assert.Equal(-Errno.Invalid, _domain.Call(HypercallNumber.HvmOp, 1, Buffer));
        _domain.Write(7UL, 0UL);
        Assert.Equal(-Errno.NoSuchProcess, _domain.Call(HypercallNumber.HvmOp, 1, Buffer));
        Assert.Equal(-Errno.NoSystemCall, _domain.Call(HypercallNumber.HvmOp, 2, Buffer));
    }

    [Fact]
    public void Long_console_output_goes_on_where_it_stopped()
    {
        _domain.Write(Enumerable.Repeat((byte)'\n', 4096).ToArray());
        Assert.Equal(HypercallTable.Restart, _domain.Call(HypercallNumber.ConsoleIo, 0, 5000, Buffer));
        Assert.Equal((904UL, Buffer + 4096), (_domain.Vcpu.State->Gpr[6], _domain.Vcpu.State->Gpr[2]));
    }

    [Fact]
    public void Privileged_hypercalls_are_refused()
    {
        Assert.Equal(-Errno.Perm, _domain.Call(HypercallNumber.DomCtl));
        Assert.Equal(-Errno.Perm, _domain.Call(HypercallNumber.Sysctl));
        Assert.Equal(-Errno.NotSupported, _domain.Call(HypercallNumber.XenPmuOp));
    }

    [Fact]
    public void A_multicall_serves_each_entry_and_keeps_the_registers()
    {
        ulong[] entries = new ulong[16];
        entries[0] = (ulong)HypercallNumber.XenVersion;
        entries[8] = (ulong)HypercallNumber.StackSwitch;
        entries[10] = 0x18;
        entries[11] = 0x1234;
        _domain.Write(entries);
        _domain.Vcpu.State->Gpr[2] = 42;
        Assert.Equal(0, _domain.Call(HypercallNumber.MultiCall, Buffer, 2));
        Assert.Equal((4 << 16) | 17, _domain.Read<long>(8));
        Assert.Equal(0x1234UL, _domain.Vcpu.Traps.KernelStack);
        Assert.Equal(42UL, _domain.Vcpu.State->Gpr[2]);
    }

    [Fact]
    public void A_multicall_does_not_nest()
    {
        ulong[] entries = [(ulong)HypercallNumber.MultiCall, 0, Buffer, 1, 0, 0, 0, 0];
        _domain.Write(entries);
        Assert.Equal(0, _domain.Call(HypercallNumber.MultiCall, Buffer, 1));
        Assert.Equal(-Errno.Invalid, _domain.Read<long>(8));
    }

    [Fact]
    public void A_long_multicall_goes_on_where_it_stopped()
    {
        // A page of entries, all set_trap_table with a null table; then the page's end is met.
        Assert.Equal(HypercallTable.Restart, _domain.Call(HypercallNumber.MultiCall, Buffer, 1000));
        (ulong next, ulong left) = (_domain.Vcpu.State->Gpr[7], _domain.Vcpu.State->Gpr[6]);
        Assert.Equal((Buffer + 4096, 936UL), (next, left));
        Assert.Equal(-Errno.Fault, _domain.Call(HypercallNumber.MultiCall, next, left));
    }

    [Fact]
    public void The_grant_table_grows_to_its_limit_only()
    {
        Assert.Equal(0, SetUp(0x7FF0, 4, out short status));
        Assert.Equal(0, status);
        ulong[] frames = new ulong[4];
        Assert.True(_domain.Vcpu.Guest.TryRead(Buffer + 0x100, MemoryMarshal.AsBytes(frames.AsSpan())));
        Assert.Equal(_domain.Grants.Frames.Select(f => f.Value), frames);
        Assert.Equal(0, SetUp(0x7FF0, 5, out status));
        Assert.Equal((short)GrantStatus.GeneralError, status);
        Assert.Equal(0, SetUp(7, 1, out status));
        Assert.Equal(-2, status);
        _domain.Write(0x7FF0u, 0u, 0u, 0u);
        Assert.Equal(0, _domain.Call(HypercallNumber.GrantTableOp, 6, Buffer, 1));
        Assert.Equal((4u, 4u), (_domain.Read<uint>(4), _domain.Read<uint>(8)));
        Assert.Equal(-Errno.Invalid, _domain.Call(HypercallNumber.GrantTableOp, 6, Buffer, uint.MaxValue));
    }

    private long SetUp(ushort domain, uint count, out short status)
    {
        _domain.Write<ulong>(domain | ((ulong)count << 32), 0, Buffer + 0x100);
        long result = _domain.Call(HypercallNumber.GrantTableOp, 2, Buffer, 1);
        status = _domain.Read<short>(8);
        return result;
    }
}
