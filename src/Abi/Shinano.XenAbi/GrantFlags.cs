namespace Shinano.XenAbi;

/// <summary>Flags of a grant entry. Source: public/grant_table.h: GTF_*.</summary>
[Flags]
public enum GrantFlags : ushort
{
    None = 0,
    PermitAccess = 1,
    AcceptTransfer = 2,
    Transitive = 3,
    TypeMask = 3,
    ReadOnly = 1 << 2,
    Reading = 1 << 3,
    Writing = 1 << 4,
    SubPage = 1 << 8,
}
