using System.Runtime.InteropServices;
using Shinano.SavedState;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Hypercalls;

/// <summary>physdev_op as a PV domain without devices meets it. Source: public/physdev.h; Xen's arch/x86/physdev.c.</summary>
public sealed class PhysicalDeviceHypercalls
{
    /// <summary>Interrupt numbers that are known, though none is permitted.</summary>
    private const uint PhysicalIrqs = 256;
    private const uint IoPorts = 65536;

    /// <summary>XENIRQSTAT_needs_eoi.</summary>
    private const uint NeedsEoi = 1;

    private readonly IGuestFrames _frames;
    private ulong _eoiFrame;

    public PhysicalDeviceHypercalls(Domain domain, IGuestFrames frames)
    {
        _frames = frames;
        domain.Hypercalls.Add(HypercallNumber.PhysdevOp, (vcpu, in a) => Execute(vcpu, (uint)a.A1, a.A2));

        // struct physdev_op: the command, and after 8 bytes the arguments.
        domain.Hypercalls.Add(HypercallNumber.PhysdevOpCompat, (vcpu, in a) =>
            vcpu.Guest.TryRead(a.A1, out uint command)
                ? command <= (uint)PhysdevOp.AllocIrqVector ? Execute(vcpu, command, a.A1 + 8) : -Errno.NoSystemCall
                : -Errno.Fault);
    }

    /// <summary>Writes which page the guest gave for interrupts that need an EOI.</summary>
    internal void Save(StateWriter writer) => writer.Put(Volatile.Read(ref _eoiFrame));

    /// <summary>Reads what <see cref="Save"/> wrote.</summary>
    internal void Load(StateReader reader)
    {
        ulong frame = reader.Get<ulong>();
        StateReader.Demand(frame == 0 || RegisterEoiMap(frame) == 0, "the page for EOIs is no memory of the guest's");
    }

    private long Execute(PvVcpu vcpu, uint command, ulong address)
    {
        GuestAccess guest = vcpu.Guest;
        switch ((PhysdevOp)command)
        {
            case PhysdevOp.SetIopl:
                if (!guest.TryRead(address, out uint level))
                {
                    return -Errno.Fault;
                }

                if (level > 3)
                {
                    return -Errno.Invalid;
                }

                vcpu.Traps.IoPrivilege = (int)level;
                return 0;
            case PhysdevOp.SetIobitmap:
                // Ports of a bitmap are for the guest's user mode; no port leads anywhere, so it need not be kept.
                return !guest.TryRead(address, out PortBitmap bitmap) ? -Errno.Fault : bitmap.Ports > IoPorts ? -Errno.Invalid : 0;
            case PhysdevOp.Eoi:
                return guest.TryRead(address, out uint _) ? -Errno.Invalid : -Errno.Fault;
            case PhysdevOp.PirqEoiGmfnV1 or PhysdevOp.PirqEoiGmfnV2:
                return guest.TryRead(address, out ulong frame) ? RegisterEoiMap(frame) : -Errno.Fault;
            case PhysdevOp.IrqUnmaskNotify:
                return 0;
            case PhysdevOp.IrqStatusQuery:
                if (!guest.TryRead(address, out uint irq))
                {
                    return -Errno.Fault;
                }

                return irq >= PhysicalIrqs ? -Errno.Invalid : guest.TryWrite(address + 4, NeedsEoi) ? 0 : -Errno.Fault;
            case PhysdevOp.GetFreePirq:
                return -Errno.NoSpace;
            case PhysdevOp.RestoreMsi or PhysdevOp.RestoreMsiExt:
                return -Errno.NoDevice;
            case PhysdevOp.ApicRead or PhysdevOp.ApicWrite or PhysdevOp.AllocIrqVector or PhysdevOp.MapPirq or PhysdevOp.UnmapPirq
                or PhysdevOp.ManagePciAdd or PhysdevOp.ManagePciRemove or PhysdevOp.ManagePciAddExt or PhysdevOp.SetupGsi
                or PhysdevOp.PciMmcfgReserved or PhysdevOp.PciDeviceAdd or PhysdevOp.PciDeviceRemove or PhysdevOp.DbgpOp
                or PhysdevOp.PrepareMsix or PhysdevOp.ReleaseMsix:
                return -Errno.Perm;
            default:
                return -Errno.NoSystemCall;
        }
    }

    /// <summary>Takes the page in which Xen would mark interrupts that need an EOI: none ever does.</summary>
    private long RegisterEoiMap(ulong frame)
    {
        if (!_frames.TryHold(frame))
        {
            return -Errno.Invalid;
        }

        if (Interlocked.CompareExchange(ref _eoiFrame, frame, 0) != 0)
        {
            _frames.Release(frame);
            return -Errno.Busy;
        }

        return 0;
    }

    /// <summary>struct physdev_set_iobitmap.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private readonly struct PortBitmap
    {
        private readonly ulong _address;
        public readonly uint Ports;
    }
}
