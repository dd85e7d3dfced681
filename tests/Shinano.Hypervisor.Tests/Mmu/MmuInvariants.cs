using Shinano.Hypervisor.Mmu;
using Shinano.Hypervisor.Tests.Building;

namespace Shinano.Hypervisor.Tests.Mmu;

/// <summary>The MMU's books agree with the page tables, and nothing else holds a frame.</summary>
internal static class MmuInvariants
{
    public static void Check(BuiltGuest guest)
    {
        Assert.Null(MmuAudit.Find(guest.Mmu, out long holds));
        Assert.Equal(0, holds);
    }
}
