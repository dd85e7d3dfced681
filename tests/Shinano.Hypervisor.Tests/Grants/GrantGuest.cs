using Shinano.Hypervisor.Tests.Events;
using Shinano.Memory;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Tests.Grants;

/// <summary>A guest's view of its grant table in one version. Source: public/grant_table.h.</summary>
public sealed class GrantGuest
{
    private readonly ServicesTestDomain _domain;
    private readonly int _version;

    public GrantGuest(ServicesTestDomain domain, int version)
    {
        _domain = domain;
        _version = version;
        if (domain.Grants.Version != version)
        {
            domain.Write((uint)version);
            Assert.Equal(0, domain.Call(HypercallNumber.GrantTableOp, (ulong)GrantTableOp.SetVersion, ServicesTestDomain.Buffer, 1));
        }
    }

    private GuestMemory Memory => _domain.Domain.Memory;

    public ref ulong Raw(uint reference) => ref Memory.Shared<ulong>(AddressOf(reference));

    /// <summary>Low half of the frame number.</summary>
    public ref uint Frame(uint reference) => ref Memory.Shared<uint>(AddressOf(reference) + (_version == 1 ? 4UL : 8UL));

    public void Grant(uint reference, GrantFlags flags, ushort domain, ulong frame)
    {
        ulong header = (uint)flags | ((uint)domain << 16);
        if (_version == 1)
        {
            Raw(reference) = header | (frame << 32);
        }
        else
        {
            Memory.Shared<ulong>(AddressOf(reference) + 8) = frame;
            Raw(reference) = header;
        }
    }

    public void GrantPart(uint reference, ushort domain, ulong frame, ushort start, ushort length)
    {
        Memory.Shared<ulong>(AddressOf(reference) + 8) = frame;
        Raw(reference) = (ulong)(GrantFlags.PermitAccess | GrantFlags.SubPage) | ((ulong)domain << 16) | ((ulong)start << 32) | ((ulong)length << 48);
    }

    public GrantFlags UseOf(uint reference)
    {
        ushort word = _version == 1
            ? Memory.Shared<ushort>(AddressOf(reference))
            : Memory.Shared<ushort>(_domain.Grants.StatusFrames[0].Address + (reference * 2));
        return (GrantFlags)word & (GrantFlags.Reading | GrantFlags.Writing);
    }

    private ulong AddressOf(uint reference) => _domain.Grants.Frames[0].Address + (reference * (_version == 1 ? 8UL : 16UL));
}
