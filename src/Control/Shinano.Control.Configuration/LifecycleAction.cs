namespace Shinano.Control.Configuration;

/// <summary>What happens to a domain that has ended (xl.cfg(5): ACTIONS of on_poweroff and its kin).</summary>
public enum LifecycleAction
{
    /// <summary>The domain is removed.</summary>
    Destroy,

    /// <summary>A new domain of the same name and configuration takes its place.</summary>
    Restart,

    /// <summary>As restart, but the old one is kept, under another name and uuid.</summary>
    RenameRestart,

    /// <summary>The ended domain is kept for looking at; <c>xm destroy</c> removes it.</summary>
    Preserve,

    /// <summary>Core dump, then destroy.</summary>
    CoredumpDestroy,

    /// <summary>Core dump, then restart.</summary>
    CoredumpRestart,
}
