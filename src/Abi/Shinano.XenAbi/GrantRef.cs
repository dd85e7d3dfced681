namespace Shinano.XenAbi;

/// <summary>An index into a domain's grant table. Source: public/grant_table.h: grant_ref_t.</summary>
public readonly record struct GrantRef(uint Value)
{
    public override string ToString() => $"gref {Value}";
}
