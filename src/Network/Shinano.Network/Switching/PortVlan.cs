using Shinano.Network.Frames;

namespace Shinano.Network.Switching;

/// <summary>The VLANs of a port: an access port has a native one only, a trunk has tagged ones too.</summary>
public sealed class PortVlan
{
    /// <summary>VLAN of ports that name none.</summary>
    public const ushort Default = 1;

    /// <summary>The highest VLAN. Source: IEEE 802.1Q table 9-2: 4095 is reserved.</summary>
    public const ushort Highest = 4094;

    private readonly bool[] _tagged;

    /// <param name="native">VLAN of frames without a tag; 0: such frames are refused.</param>
    /// <param name="tagged">VLANs whose frames have a tag here.</param>
    public PortVlan(ushort native, params IEnumerable<ushort> tagged)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(native, Highest);
        Native = native;
        _tagged = new bool[Highest + 2];
        foreach (ushort vlan in tagged)
        {
            ArgumentOutOfRangeException.ThrowIfGreaterThan(vlan, Highest);
            _tagged[vlan] = vlan != 0 && vlan != native;
        }
    }

    /// <summary>An access port of VLAN 1.</summary>
    public static PortVlan Access { get; } = new(Default);

    /// <summary>A trunk of all VLANs with 1 untagged: a host's bridge.</summary>
    public static PortVlan Trunk { get; } = new(Default, Enumerable.Range(1, Highest).Select(vlan => (ushort)vlan));

    /// <summary>VLAN of frames without a tag, or 0.</summary>
    public ushort Native { get; }

    /// <summary>VLAN that a frame which came in here belongs to; 0: none, it is refused.</summary>
    public ushort Classify(in EthernetHeader header) => header.Vlan == 0 ? Native : _tagged[header.Vlan] ? header.Vlan : (ushort)0;

    /// <summary>Whether frames of a VLAN go out here.</summary>
    public bool Carries(ushort vlan) => vlan == Native || _tagged[vlan];

    /// <summary>The tag of a VLAN's frames that go out here; 0: none.</summary>
    public ushort TagOf(ushort vlan) => vlan == Native ? (ushort)0 : vlan;
}
