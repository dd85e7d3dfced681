namespace Shinano.Control.Configuration;

/// <summary>What finds a domain's kernel.</summary>
public enum BootLoader
{
    /// <summary>Nothing: the configuration names a kernel of the host.</summary>
    None,

    /// <summary>PV GRUB, which runs inside the domain and boots the guest's own kernel from the guest's own disk.</summary>
    PvGrub,
}
