namespace Shinano.XenAbi;

/// <summary>A domain's number. Source: public/xen.h: domid_t, DOMID_*.</summary>
public readonly record struct DomainId(ushort Value)
{
    public static readonly DomainId Zero = new(0);

    /// <summary>DOMID_SELF: the calling domain.</summary>
    public static readonly DomainId Self = new(0x7FF0);

    /// <summary>DOMID_IO: memory-mapped I/O frames.</summary>
    public static readonly DomainId Io = new(0x7FF1);

    /// <summary>DOMID_XEN: frames of the hypervisor itself.</summary>
    public static readonly DomainId Xen = new(0x7FF2);

    /// <summary>DOMID_FIRST_RESERVED: numbers from here on never name a real domain.</summary>
    public const ushort FirstReserved = 0x7FF0;

    public override string ToString() => $"d{Value}";
}
