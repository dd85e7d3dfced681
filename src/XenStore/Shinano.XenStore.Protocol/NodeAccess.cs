namespace Shinano.XenStore.Protocol;

/// <summary>What a permission entry allows. Source: tools/include/xenstore_lib.h: enum xs_perm_type.</summary>
[Flags]
public enum NodeAccess : byte
{
    None = 0,
    Read = 1,
    Write = 2,
    ReadWrite = Read | Write,

    /// <summary>May change permissions. Never part of a stored entry.</summary>
    Owner = 4,
}
