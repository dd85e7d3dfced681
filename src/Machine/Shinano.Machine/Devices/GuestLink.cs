using Shinano.Devices.Paravirtual.XenBus;
using Shinano.Hypervisor;
using Shinano.Hypervisor.Events;
using Shinano.Hypervisor.Grants;
using Shinano.Hypervisor.Hypercalls;
using Shinano.Memory;
using Shinano.XenAbi;

namespace Shinano.Machine.Devices;

/// <summary>Back ends' way to the guest: its grant table and its event channels, as domain 0.</summary>
internal sealed class GuestLink(Domain domain, IGuestFrames frames, GrantTable grants, EventChannels events) : IFrontEndDomain
{
    public IGrantedPage? TryMap(GrantRef reference, bool writable) =>
        grants.TryAccess(reference, writable, out GrantAccess? access) ? new Page(access) : null;

    public IGrantedPage? TryMapFrame(ulong frame, bool writable)
    {
        if (!frames.TryHoldRead(frame))
        {
            return null;
        }

        if (!writable || frames.TryHold(frame))
        {
            return new ForeignPage(domain.Memory, frames, frame, writable);
        }

        frames.ReleaseRead(frame);
        return null;
    }

    public IFrontEndPort? TryBind(EventPort port, Action onNotify) => events.BindForHost(port, onNotify) is { } host ? new Port(host) : null;

    public void Log(string message) => domain.Log.Write($"{domain.Id}: {message}");

    private sealed class Page(GrantAccess access) : IGrantedPage
    {
        // Once: every view of it is an object.
        private readonly Memory<byte> _bytes = access.Bytes;

        public bool IsWritable => access.IsWritable;

        public Memory<byte> Bytes => _bytes;

        public void Announce(int offset, int length) => access.Announce(offset, length);

        public void Dispose() => access.Dispose();
    }

    private sealed class ForeignPage(GuestMemory memory, IGuestFrames frames, ulong frame, bool writable) : IGrantedPage
    {
        private readonly Memory<byte> _bytes = memory.FrameMemory(frame);
        private int _disposed;

        public bool IsWritable => writable;

        public Memory<byte> Bytes => _bytes;

        public void Announce(int offset, int length) => memory.AnnounceWrite((frame << GuestMemory.PageShift) + (uint)offset, length);

        public void Dispose()
        {
            if (Interlocked.Exchange(ref _disposed, 1) != 0)
            {
                return;
            }

            if (writable)
            {
                frames.Release(frame);
            }

            frames.ReleaseRead(frame);
        }
    }

    private sealed class Port(HostEventPort host) : IFrontEndPort
    {
        public void Notify() => host.Notify();

        public void Dispose() => host.Dispose();
    }
}
