namespace Shinano.XenAbi;

/// <summary>Flags of update_va_mapping; the other bits are the address of a vCPU mask. Source: public/xen.h: UVMF_*.</summary>
public static class UpdateVaMappingFlags
{
    /// <summary>UVMF_FLUSHTYPE_MASK.</summary>
    public const ulong FlushTypeMask = 3;

    /// <summary>UVMF_TLB_FLUSH: all translations.</summary>
    public const ulong FlushAllTranslations = 1;

    /// <summary>UVMF_INVLPG: translations of the page.</summary>
    public const ulong FlushPage = 2;

    /// <summary>UVMF_LOCAL: on the calling vCPU.</summary>
    public const ulong Local = 0;

    /// <summary>UVMF_ALL: on all vCPUs of the domain.</summary>
    public const ulong AllVcpus = 4;
}
