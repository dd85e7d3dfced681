using System.Text;
using Shinano.Cpu;
using Shinano.Hypervisor.Traps;

namespace Shinano.Hypervisor.Tests.Traps;

public sealed class CpuidPolicyTests
{
    private const uint Osxsave = 1 << 27;
    private const uint Hypervisor = 1u << 31;
    private const uint HyperThreading = 1u << 28;

    [Fact]
    public void Xens_leaves_have_its_signature_and_version()
    {
        CpuidPolicy policy = new(CpuFeatures.None, 2_600_000_000);
        CpuidLeaf leaf = policy.Query(0x40000000, 0, 1);
        Assert.Equal("XenVMMXenVMM", Encoding.ASCII.GetString([.. Bytes(leaf.Ebx), .. Bytes(leaf.Ecx), .. Bytes(leaf.Edx)]));
        Assert.Equal(0x40000005u, leaf.Eax);
        Assert.Equal(0x00040011u, policy.Query(0x40000001, 0, 1).Eax);
        Assert.Equal(2_600_000u, policy.Query(0x40000003, 0, 1).Ecx);
    }

    [Fact]
    public void Nothing_is_shown_that_the_engine_lacks()
    {
        CpuidPolicy policy = new(CpuFeatures.None, 1_000_000_000);
        CpuidLeaf basic = policy.Query(1, 0, 1);
        Assert.Equal(Hypervisor | (1u << 13), basic.Ecx);
        Assert.Equal(default, policy.Query(7, 0, 1));
        Assert.Equal(default, policy.Query(0xD, 0, 1));
    }

    [Theory]
    [InlineData(CpuFeatures.Avx2, 7u, 'b', 5)]
    [InlineData(CpuFeatures.ShaNi, 7u, 'b', 29)]
    [InlineData(CpuFeatures.Aes, 1u, 'c', 25)]
    [InlineData(CpuFeatures.Lzcnt, 0x80000001u, 'c', 5)]
    [InlineData(CpuFeatures.Fsrm, 7u, 'd', 4)]
    public void A_feature_group_shows_as_its_bit(CpuFeatures feature, uint leaf, char register, int bit)
    {
        CpuidLeaf without = new CpuidPolicy(CpuFeatures.None, 1_000_000_000).Query(leaf, 0, 1);
        CpuidLeaf with = new CpuidPolicy(feature, 1_000_000_000).Query(leaf, 0, 1);
        static uint Pick(CpuidLeaf l, char r) => r switch { 'b' => l.Ebx, 'c' => l.Ecx, _ => l.Edx };
        Assert.Equal(1u << bit, Pick(without, register) ^ Pick(with, register));
    }

    [Fact]
    public void Xsave_leaf_follows_xcr0()
    {
        CpuidPolicy policy = new(CpuFeatures.Xsave | CpuFeatures.Avx, 1_000_000_000);
        Assert.NotEqual(0u, policy.Query(1, 0, 1).Ecx & Osxsave);
        Assert.Equal(new CpuidLeaf(7, 576, 832, 0), policy.Query(0xD, 0, 1));
        Assert.Equal(new CpuidLeaf(7, 832, 832, 0), policy.Query(0xD, 0, 7));
        Assert.Equal(new CpuidLeaf(256, 576, 0, 0), policy.Query(0xD, 2, 7));
    }

    // Xen 4.17, arch/x86/cpuid.c and cpu-policy.c: identifiers are made for HVM domains only, counts are the host's.
    [Fact]
    public void A_vcpu_has_no_apic_id_and_the_hosts_counts()
    {
        CpuidPolicy policy = new(CpuFeatures.None, 1_000_000_000);
        CpuidLeaf basic = policy.Query(1, 0, 1);
        (_, int hostEbx, _, int hostEdx) = System.Runtime.Intrinsics.X86.X86Base.CpuId(1, 0);
        Assert.Equal(0u, basic.Ebx >> 24);
        Assert.Equal((uint)hostEbx & 0x00FFFF00, basic.Ebx);
        Assert.Equal((uint)hostEdx & HyperThreading, basic.Edx & HyperThreading);
        for (uint subleaf = 0; subleaf < 3; subleaf++)
        {
            Assert.Equal(default, policy.Query(0xB, subleaf, 1));
        }
    }

    private static byte[] Bytes(uint value) => BitConverter.GetBytes(value);
}
