using System.Runtime.InteropServices;

namespace Shinano.Linux;

/// <summary>Who this process is, as the kernel sees it.</summary>
public static partial class ProcessIdentity
{
    /// <summary>The effective user id (geteuid(2), which cannot fail).</summary>
    public static uint EffectiveUserId => GetEffectiveUserId();

    /// <summary>True when the effective user is root.</summary>
    public static bool IsRoot => EffectiveUserId == 0;

    [LibraryImport("libc", EntryPoint = "geteuid")]
    private static partial uint GetEffectiveUserId();
}
